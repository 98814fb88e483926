// Tested by tests/libfuzzer.sh, which needs the files.
#include "common/testing/fuzz_seeds.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "common/testing/fuzz_driver.h"

namespace kedge {

void WriteSeedsIfAsked(int argc, const char* const* argv) {
  if (argc != 3 || std::string(argv[1]) != "--seeds") return;
  int number = 0;
  for (const std::string& seed : FuzzSeeds()) {
    const std::string path = std::string(argv[2]) + "/seed-" + std::to_string(number++);
    std::ofstream file(path, std::ios::binary);
    if (!(file << seed).flush()) {
      std::fprintf(stderr, "cannot write %s\n", path.c_str());
      std::exit(1);
    }
  }
  std::exit(number > 0 ? 0 : 1);
}

}  // namespace kedge
