// The options of commands that compute in their own process.
#ifndef KEDGE_CLI_ENGINE_OPTIONS_H_
#define KEDGE_CLI_ENGINE_OPTIONS_H_

#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "common/kernels/row_shape.h"
#include "common/node/load_model.h"

namespace kedge {

struct EngineOptions {
  std::string model;  // empty: the default model
  std::string adapter;
  std::string kv_type = KvTypeName(kDefaultKvType);
  std::string backend = "cpu";
  std::optional<int> gpu;
  int threads = 0;  // 0: one per core
};

// --model, --adapter, --kv-type, --backend, --device, --threads.
void AddEngineOptions(CLI::App* command, EngineOptions* options);

// KV memory and rows of a step are the command's business. kInvalidArgument names the flag.
absl::StatusOr<DeviceOptions> DeviceOptionsOf(const EngineOptions& options);

}  // namespace kedge

#endif  // KEDGE_CLI_ENGINE_OPTIONS_H_
