// What a fuzz target provides, and how it is run.
//
// A target is one file x_fuzzer.cc that defines the first two functions below. With this package's library
// `fuzz_driver` it becomes an ordinary test: a main() that feeds LLVMFuzzerTestOneInput with random mutations of the
// seeds. With --config=libfuzzer the same test is a libFuzzer target, which looks for new paths by itself:
// tests/libfuzzer.sh builds and runs all of them. `x_fuzz_test --seeds DIR` of either kind writes the seeds as files.
#ifndef KEDGE_COMMON_TESTING_FUZZ_DRIVER_H_
#define KEDGE_COMMON_TESTING_FUZZ_DRIVER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// Feeds one input to the decoder under test. Crashes (KEDGE_CHECK, sanitizers) on a bug; returns 0.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// Valid inputs, the small the better: mutations start from them.
std::vector<std::string> FuzzSeeds();

// May be defined as well, where changed bytes are seldom more than noise (tests/message_mutator.h): changes an input in
// place and returns its new size, 0 if it can't. The driver has it change one input of two; libFuzzer knows it by this
// name.
extern "C" __attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                                                unsigned int seed);

#endif  // KEDGE_COMMON_TESTING_FUZZ_DRIVER_H_
