// What a model's steps must move and multiply, however they are computed.
#ifndef KEDGE_BENCH_MODEL_COST_H_
#define KEDGE_BENCH_MODEL_COST_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/model/gguf.h"

namespace kedge {

struct ModelCost {
  // Bytes, as the file has them, of all tensors that every step reads: all but an embedding that is no output head. A
  // step of any number of rows reads them once at least.
  uint64_t weight_bytes = 0;
  uint64_t row_products = 0;     // multiply-adds of one row with the matrices of all layers
  uint64_t output_products = 0;  // and with the output head, for a row that samples
};

// kInvalidArgument: the file has no token_embd.weight.
absl::StatusOr<ModelCost> CostOf(const GgufFile& file);

}  // namespace kedge

#endif  // KEDGE_BENCH_MODEL_COST_H_
