// Tested by model_cost_test.cc.
#include "bench/model_cost.h"

#include "absl/strings/str_cat.h"

namespace kedge {

absl::StatusOr<ModelCost> CostOf(const GgufFile& file) {
  if (file.FindTensor("token_embd.weight") == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(file.name(), ": tensor token_embd.weight is missing"));
  }
  const bool is_tied = file.FindTensor("output.weight") == nullptr;
  ModelCost cost;
  for (const GgufTensor& tensor : file.tensors()) {
    const bool is_embedding = tensor.name == "token_embd.weight";
    if (is_embedding && !is_tied) continue;  // a step reads one row of it for each token
    cost.weight_bytes += tensor.data.size();
    if (tensor.shape.size() != 2) continue;
    const uint64_t products = tensor.shape[0] * tensor.shape[1];
    (is_embedding || tensor.name == "output.weight" ? cost.output_products : cost.row_products) += products;
  }
  return cost;
}

}  // namespace kedge
