// The models and texts on which the bits of a numerics class stand, and what a device makes of them: shared by
// equality_test.cc and by gpu/check, which asks the same of a device that no test has.
#ifndef KEDGE_TESTS_GOLDEN_BITS_H_
#define KEDGE_TESTS_GOLDEN_BITS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/anchor/content.h"
#include "common/anchor/salience.h"
#include "common/kernels/step.h"
#include "common/testing/tiny_model.h"

namespace kedge {

// Every type of weights, several layouts of heads, every architecture. New ones go to the end: tests count on the order.
std::vector<TinyModelOptions> GoldenModels();

// Heads that choose in these models.
inline const SalienceHeads kGoldenHeads = {.pointers = {{1, 1}}, .retrieval = {{0, 0}, {1, 0}}};

// Texts under policies of every kind, which never change.
std::vector<Content> GoldenContents(uint32_t vocab_size);

// A hash of all that was seen of a sequence so far, after each piece: of row i the logits are piece 2i, its keys and
// values as they lie in R piece 2i + 1; the last piece is what attention chose.
using BitsTrail = std::vector<uint64_t>;

// Computes all contents together, up to `chunk` rows of each in a step. The trails are the same for every chunk and in
// every company.
absl::StatusOr<std::vector<BitsTrail>> TrailsOfBits(absl::Span<const Content> contents, uint32_t chunk,
                                                    StepDevice* device);

}  // namespace kedge

#endif  // KEDGE_TESTS_GOLDEN_BITS_H_
