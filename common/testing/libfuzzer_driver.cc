// Stands for fuzz_driver.cc where libFuzzer brings main() and mutations (--config=libfuzzer): the seeds are all that it
// does not know. tests/libfuzzer.sh runs such programs.
#include "common/testing/fuzz_seeds.h"

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  kedge::WriteSeedsIfAsked(*argc, *argv);
  return 0;
}
