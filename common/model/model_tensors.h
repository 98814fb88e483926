// Whether a file's tensors are those of its architecture.
#ifndef KEDGE_COMMON_MODEL_MODEL_TENSORS_H_
#define KEDGE_COMMON_MODEL_MODEL_TENSORS_H_

#include "absl/status/status.h"
#include "common/model/config.h"
#include "common/model/gguf.h"

namespace kedge {

// Checks that every tensor of the architecture is there, with the shape that follows from `config` and a type that
// Kedge reads, and that there is no other one. kInvalidArgument names the file, the tensor and what is supported.
absl::Status CheckTensors(const GgufFile& file, const ModelConfig& config);

}  // namespace kedge

#endif  // KEDGE_COMMON_MODEL_MODEL_TENSORS_H_
