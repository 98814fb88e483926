// A small mutating driver, for plain compilers: x_test [runs [seed]], or x_test --seeds DIR, which writes the seeds as
// files. KEDGE_FUZZ_RUNS in the environment goes before `runs`. The seed is drawn anew for each start and printed, so
// every start tests other inputs and a failure can be repeated. Each input is copied to a heap block of
// exactly its size, so that AddressSanitizer sees a read past the end.
//
// The allocator is replaced here by one that refuses large blocks: a decoder that allocates what a damaged length asks
// for is a bug even where the machine would grant it.
//
// Tested by gguf_fuzz_test (//common/model) and every other test that is built from it.
#include "common/testing/fuzz_driver.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <random>

#include "common/testing/fuzz_seeds.h"

namespace {

constexpr uint64_t kDefaultRuns = 20000;
constexpr size_t kLargestAllocation = size_t{64} << 20;

using Random = std::mt19937_64;

// From 0 to below `end`. REQUIRES: end > 0.
size_t Below(Random& random, size_t end) { return random() % end; }

// A position in the input, near its beginning more often than not: that is where headers are.
size_t Position(Random& random, const std::string& input) {
  return Below(random, std::max<size_t>(1, input.size() >> Below(random, 9)));
}

void FlipBit(Random& random, std::string& input) { input[Position(random, input)] ^= 1 << Below(random, 8); }

void SetByte(Random& random, std::string& input) { input[Position(random, input)] = static_cast<char>(random()); }

void Truncate(Random& random, std::string& input) { input.resize(Below(random, input.size() + 1)); }

// Overwrites 1, 2, 4 or 8 bytes by a number that lengths and offsets like to break at.
void EditNumber(Random& random, std::string& input) {
  const size_t width = size_t{1} << Below(random, 4);
  if (input.size() < width) return;
  const size_t position = std::min(Position(random, input), input.size() - width);
  uint64_t number = 0;
  std::memcpy(&number, &input[position], width);
  switch (Below(random, 8)) {
    case 0: number = 0; break;
    case 1: number = ~uint64_t{0} >> Below(random, 64); break;     // 2^n - 1
    case 2: number = uint64_t{1} << Below(random, 64); break;      // 2^n
    case 3: number = ~uint64_t{0} << Below(random, 64); break;     // -2^n
    case 4: number = input.size() + Below(random, 17) - 8; break;  // about all there is
    case 5: number += 1 + Below(random, 16); break;
    case 6: number -= 1 + Below(random, 16); break;
    case 7: number = Below(random, 64); break;
  }
  std::memcpy(&input[position], &number, width);
}

void RemoveBytes(Random& random, std::string& input) {
  input.erase(Position(random, input), 1 + Below(random, 64));
}

void InsertBytes(Random& random, std::string& input) {
  input.insert(Position(random, input), 1 + Below(random, 64), static_cast<char>(random()));
}

// Puts a piece of another (or the same) seed over or into the input.
void Splice(Random& random, std::string& input, const std::string& other) {
  if (other.empty()) return;
  const size_t from = Position(random, other);
  const std::string piece = other.substr(from, 1 + Below(random, 256));
  const size_t to = Position(random, input);
  input.replace(to, Below(random, 2) == 0 ? piece.size() : 0, piece);
}

void Mutate(Random& random, std::string& input, const std::vector<std::string>& seeds) {
  for (size_t edits = size_t{1} << Below(random, 4); edits > 0 && !input.empty(); --edits) {
    switch (Below(random, 12)) {
      case 0: case 1: case 2: FlipBit(random, input); break;
      case 3: SetByte(random, input); break;
      case 4: case 5: case 6: case 7: EditNumber(random, input); break;
      case 8: Truncate(random, input); break;
      case 9: RemoveBytes(random, input); break;
      case 10: InsertBytes(random, input); break;
      case 11: Splice(random, input, seeds[Below(random, seeds.size())]); break;
    }
  }
}

// Returns whether it could.
bool MutateAsTargetDoes(Random& random, std::string& input) {
  if (LLVMFuzzerCustomMutator == nullptr) return false;
  const size_t size = input.size();
  std::string room = input;
  room.resize(2 * size + 4096);
  const size_t changed = LLVMFuzzerCustomMutator(reinterpret_cast<uint8_t*>(room.data()), size, room.size(),
                                                 static_cast<unsigned int>(random()));
  if (changed == 0) return false;
  input = room.substr(0, changed);
  return true;
}

void Feed(const std::string& input) {
  const std::unique_ptr<uint8_t[]> exact(new uint8_t[input.size()]);
  std::copy(input.begin(), input.end(), exact.get());
  LLVMFuzzerTestOneInput(exact.get(), input.size());
}

}  // namespace

void* operator new(size_t size) {
  if (size > kLargestAllocation) {
    std::fprintf(stderr, "an allocation of %zu bytes: more than any of these inputs may ask for\n", size);
    std::abort();
  }
  if (void* block = std::malloc(std::max<size_t>(1, size))) return block;
  throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }

int main(int argc, char** argv) {
  kedge::WriteSeedsIfAsked(argc, argv);
  uint64_t runs = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : kDefaultRuns;
  if (const char* text = std::getenv("KEDGE_FUZZ_RUNS")) runs = std::strtoull(text, nullptr, 10);
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : std::random_device()();
  std::printf("%llu runs, seed %llu (repeat: %s %llu %llu)\n", static_cast<unsigned long long>(runs),
              static_cast<unsigned long long>(seed), argv[0], static_cast<unsigned long long>(runs),
              static_cast<unsigned long long>(seed));
  std::fflush(stdout);

  const std::vector<std::string> seeds = FuzzSeeds();
  if (seeds.empty()) {
    std::fprintf(stderr, "FuzzSeeds() returned none\n");
    return 1;
  }
  for (const std::string& input : seeds) Feed(input);
  Feed("");
  Random random(seed);
  for (uint64_t run = 0; run < runs; ++run) {
    std::string input = seeds[Below(random, seeds.size())];
    // A message with odd fields, that once more with odd bytes, or odd bytes alone.
    const bool changed = Below(random, 2) == 0 && MutateAsTargetDoes(random, input);
    if (!changed || Below(random, 8) == 0) Mutate(random, input, seeds);
    Feed(input);
  }
  return 0;
}
