// gpu_check: proves and measures a backend where nothing else of Kedge is: no gRPC, no shared library but the C one's.
#include <cstdio>
#include <map>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/kernels/row_shape.h"
#include "tests/gpu/check/bits.h"
#include "tests/gpu/check/speed.h"

namespace kedge {
namespace {

constexpr int kDiffers = 1, kFailed = 2;

void AddDeviceFlags(CLI::App* command, DeviceOptions* device) {
  command->add_option("--backend", device->backend, kBackendHelp)
      ->check(CLI::IsMember(BackendNames()))
      ->capture_default_str();
  command->add_option("--device", device->device, kDeviceHelp)->check(CLI::Range(0, kLastGpu));
  command->add_option("--threads", device->threads, "threads of the cpu backend (default: one per core)")
      ->check(CLI::Range(0, 1024));
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "gpu_check: %s\n", std::string(status.message()).c_str());
  return kFailed;
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Proves and measures a backend of Kedge. Results are lines of JSON. Exit codes: 0, 1 where bits differ, 2 where "
      "something cannot be had.",
      "gpu_check");
  app.require_subcommand(1);

  BitsOptions bits;
  CLI::App* const bits_command = app.add_subcommand(
      "bits", "Logits, rows and choices of small models, bit by bit: alone, in company, cut anywhere");
  AddDeviceFlags(bits_command, &bits.device);
  bits_command->add_option("--write", bits.write, "file that gets the hashes")->type_name("FILE");
  bits_command->add_option("--expect", bits.expect, "file that has the hashes of the CPU")->type_name("FILE");
  bits_command->add_flag("--beside-cpu", bits.beside, "compare with the cpu backend too, which says which row differs");
  bits_command->add_option("--models", bits.models, "their numbers, from 1 on (default: all)")->delimiter(',');
  bits_command
      ->add_option("--kv-types", bits.kv_types, absl::StrCat(absl::StrJoin(KvTypeNames(), ", "), " (default: all)"))
      ->delimiter(',')
      ->check(CLI::IsMember(KvTypeNames()));

  SpeedOptions speed;
  CLI::App* const speed_command =
      app.add_subcommand("speed", "Tokens, bytes and rows a second, with random weights in the shapes of real models");
  AddDeviceFlags(speed_command, &speed.device);
  speed_command->add_option("--shape", speed.shape, "8B: Llama 3.1 8B; 0.5B: Qwen2.5 0.5B")
      ->check(CLI::IsMember({"8B", "0.5B"}))
      ->capture_default_str();
  std::string type = "Q8_0";
  const std::map<std::string, TensorType> types = {{"Q8_0", TensorType::kQ8_0}, {"Q4_K", TensorType::kQ4_K}};
  speed_command->add_option("--type", type, "of all matrices: Q8_0 or Q4_K")
      ->check(CLI::IsMember(types))
      ->capture_default_str();
  speed_command->add_option("--layers", speed.layers, "fewer than the shape has, for a trial");
  speed_command->add_option("--batches", speed.batches, "requests at once")->delimiter(',')->capture_default_str();
  speed_command->add_option("--visible", speed.visible_rows, "rows that each sees")->capture_default_str();
  speed_command->add_option("--steps", speed.steps, "tokens that each writes")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  speed_command->add_option("--prompt", speed.prompt_rows, "length of the prompt")
      ->check(CLI::Range(2, 65536))
      ->capture_default_str();
  speed_command->add_option("--max-rows", speed.device.max_rows, "of one step (default: what suits the backend)");

  CLI11_PARSE(app, argc, argv);
  if (speed_command->parsed()) {
    speed.type = types.at(type);
    const absl::Status status = MeasureSpeed(speed);
    return status.ok() ? 0 : Fail(status);
  }
  const absl::StatusOr<bool> same = CheckBits(bits);
  if (!same.ok()) return Fail(same.status());
  return *same ? 0 : kDiffers;
}

}  // namespace
}  // namespace kedge

int main(int argc, char** argv) { return kedge::Main(argc, argv); }
