// What a fuzz target provides, and how it is run.
//
// A target is one file x_fuzzer.cc that defines the two functions below. With this package's library `fuzz_driver` it
// becomes an ordinary test: a main() that feeds LLVMFuzzerTestOneInput with random mutations of the seeds. The same
// file runs under libFuzzer, which looks for new paths by itself (FuzzSeeds is not called then):
//
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address -I. x_fuzzer.cc <its sources> -labsl_... -o x_fuzzer
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

#endif  // KEDGE_COMMON_TESTING_FUZZ_DRIVER_H_
