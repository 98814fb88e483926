// Tested by tests/score_test.py, through the command.
#include "cli/engine_options.h"

#include "cli/console.h"
#include "cli/model_fetch.h"
#include "common/base/status.h"
#include "common/kernels/row_shape.h"
#include "common/rpc/flags.h"

namespace kedge {

void AddEngineOptions(CLI::App* command, EngineOptions* options) {
  command->add_option("--model", options->model, kModelHelp)->type_name(kFileType);
  command->add_option("--adapter", options->adapter, "LoRA adapter for that model, a GGUF file (default: none)")
      ->type_name(kFileType);
  command->add_option("--kv-type", options->kv_type, "type of keys and values")
      ->check(CLI::IsMember(KvTypeNames()))
      ->capture_default_str();
  command->add_option("--backend", options->backend, kBackendHelp)
      ->check(CLI::IsMember(BackendNames()))
      ->capture_default_str();
  command->add_option("--device", options->gpu, kDeviceHelp)->check(WholeNumber(0, kLastGpu));
  command->add_option("--threads", options->threads, "threads that compute (default: one per core)")
      ->check(WholeNumber(0, 1024));
}

absl::StatusOr<DeviceOptions> DeviceOptionsOf(const EngineOptions& options) {
  DeviceOptions device{.backend = options.backend, .threads = options.threads};
  if (options.gpu.has_value()) {
    KEDGE_RETURN_IF_ERROR(CheckGpuFlag("--device", options.backend));
    device.device = *options.gpu;
  }
  KEDGE_ASSIGN_OR_RETURN(device.kv_type, ParseKvType(options.kv_type));
  device.notice = [](const std::string& line) { Say(line); };
  return device;
}

}  // namespace kedge
