// The seeds of a fuzz target as files, for whatever mutates them.
#ifndef KEDGE_COMMON_TESTING_FUZZ_SEEDS_H_
#define KEDGE_COMMON_TESTING_FUZZ_SEEDS_H_

namespace kedge {

// Of `x_fuzz_test --seeds DIR`: writes what FuzzSeeds() returns to that folder and ends the process. Otherwise nothing.
void WriteSeedsIfAsked(int argc, const char* const* argv);

}  // namespace kedge

#endif  // KEDGE_COMMON_TESTING_FUZZ_SEEDS_H_
