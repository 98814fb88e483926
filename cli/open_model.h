// What --model and --adapter name, opened.
#ifndef KEDGE_CLI_OPEN_MODEL_H_
#define KEDGE_CLI_OPEN_MODEL_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "common/model/model_files.h"

namespace kedge {

// FindModel, ModelFiles::Open and a look at the shape (LoadConfig accepts it). Errors are theirs, and begin with the
// flag whose value is wrong. `adapter` empty: none.
absl::StatusOr<ModelFiles> OpenModel(const std::string& model, const std::string& adapter,
                                     const std::function<bool()>& cancelled);

}  // namespace kedge

#endif  // KEDGE_CLI_OPEN_MODEL_H_
