// Tested by gpu_check_test.sh.
#include "tests/gpu/check/speed.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "bench/engine_run.h"
#include "bench/model_cost.h"
#include "common/base/machine_limits.h"
#include "common/base/status.h"
#include "common/engine/sequence.h"
#include "tests/gpu/check/decode.h"
#include "tests/gpu/check/random_model.h"
#include "tests/gpu/check/report.h"

namespace kedge {
namespace {

constexpr uint32_t kRowsOut = 410;  // a tenth of 4,096
constexpr int kRowsRuns = 7;

double Seconds(absl::Duration time) { return absl::ToDoubleSeconds(time); }

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// A prompt whose choice is to be made.
Content UnreadPrompt(uint32_t rows, uint32_t vocab_size) {
  Content prompt = SalientPrompt(rows, 0, vocab_size);
  prompt.salient.reset();
  return prompt;
}

// Few, as a calibrated model has them.
SalienceHeads SomeHeads(const ModelShape& shape) {
  const auto layer = [&](int part) { return static_cast<uint32_t>(shape.layers * part / 4); };
  return {.pointers = {{layer(2), 0}}, .retrieval = {{layer(1), 1}, {layer(2), 2}, {layer(3), 3}}};
}

std::string PartOf(const SpeedOptions& options) {
  const std::string type = options.type == TensorType::kQ8_0 ? "" : "-" + TensorTypeName(options.type);
  return absl::StrCat("speed-", options.shape, type);
}

class Speed {
 public:
  Speed(const SpeedOptions& options, const ModelShape& shape, const ModelCost& cost, StepDevice* device)
      : options_(options), shape_(shape), cost_(cost), device_(device), part_(PartOf(options)) {}

  absl::Status Decode(const DecodeWork& work) {
    const std::string what =
        absl::StrCat("decode, batch ", work.batch, work.temperature == 0 ? ", greedy" : ", temperature 1");
    if (work.batch > device_->max_rows()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--batches: ", work.batch, " is more than the ", device_->max_rows(), " rows of a step"));
    }
    KEDGE_ASSIGN_OR_RETURN(const DecodeRun run, RunDecode(work, device_));
    const double seconds = Seconds(run.time);
    const double row_bytes = static_cast<double>(run.rows_read * device_->row_shape().page_row_bytes()) / work.steps;
    const double bytes = static_cast<double>(cost_.weight_bytes) + row_bytes;
    Report(part_, what, work.batch * work.steps / seconds, "tokens/s",
           absl::StrFormat("%.3f ms a step; %s for %.1f %% of the time", 1e3 * seconds / work.steps,
                           run.at_work.has_value() ? "the device was at work" : "a step was under way",
                           100 * Seconds(run.at_work.value_or(run.busy)) / seconds));
    Report(part_, what + ", read", bytes * work.steps / seconds / 1e9, "GB/s",
           absl::StrFormat("%.3f GB of weights and %.3f GB of rows a step", cost_.weight_bytes / 1e9, row_bytes / 1e9));
    return absl::OkStatus();
  }

  absl::Status Prompt() {
    const Content prompt = UnreadPrompt(options_.prompt_rows, device_->vocab_size());
    const SalienceHeads heads = SomeHeads(shape_);
    KEDGE_RETURN_IF_ERROR(RunEngine({{.prompt = prompt}}, heads, std::nullopt, device_).status());  // warms up
    KEDGE_ASSIGN_OR_RETURN(const EngineRun run, RunEngine({{.prompt = prompt}}, heads, std::nullopt, device_));
    const double seconds = Seconds(run.prompt_time);
    const std::string what = absl::StrCat("prompt of ", options_.prompt_rows, ", salient");
    Report(part_, what, options_.prompt_rows / seconds, "tokens/s",
           absl::StrFormat("%.1f ms; a step was under way for %.1f %% of the time", 1e3 * seconds,
                           100 * (1 - Seconds(run.prompt_idle) / seconds)));
    const double products = static_cast<double>(cost_.row_products) * options_.prompt_rows + cost_.output_products;
    Report(part_, what + ", products", 2 * products / seconds / 1e12, "T/s", "a multiply-add is two; attention is none");
    return absl::OkStatus();
  }

  // Rows as they leave a prefill node: scattered over the pages, into memory that the device copies to.
  absl::Status Rows() {
    const uint64_t all = uint64_t{device_->num_pages()} * kPageRows;
    std::vector<RowRef> rows;
    for (uint64_t i = 0; i < kRowsOut; ++i) {
      const uint64_t row = i * all / kRowsOut;
      rows.push_back({static_cast<PageId>(row / kPageRows), static_cast<uint32_t>(row % kPageRows)});
    }
    const size_t bytes = rows.size() * device_->row_shape().row_bytes();
    const RowBuffer out = device_->NewRowBuffer(bytes);
    std::vector<double> seconds;
    for (int run = -1; run < kRowsRuns; ++run) {
      const Stopwatch time;
      KEDGE_RETURN_IF_ERROR(device_->ReadRows(rows, out)->Wait());
      if (run >= 0) seconds.push_back(time.seconds());
    }
    std::sort(seconds.begin(), seconds.end());
    const double median = seconds[seconds.size() / 2];
    Report(part_, absl::StrCat(rows.size(), " rows to the host"), bytes / median / 1e9, "GB/s",
           absl::StrFormat("%.3f ms for %.1f MB", 1e3 * median, bytes / 1e6));
    return absl::OkStatus();
  }

 private:
  const SpeedOptions& options_;
  const ModelShape& shape_;
  const ModelCost& cost_;
  StepDevice* const device_;
  const std::string part_;
};

std::vector<DecodeWork> DecodeWorks(const SpeedOptions& options) {
  std::vector<DecodeWork> works;
  for (const uint32_t batch : options.batches) {
    for (const float temperature : {0.0f, 1.0f}) {
      works.push_back({.batch = batch,
                       .visible_rows = options.visible_rows,
                       .steps = options.steps,
                       .temperature = temperature});
    }
  }
  return works;
}

}  // namespace

absl::Status MeasureSpeed(const SpeedOptions& options) {
  KEDGE_ASSIGN_OR_RETURN(ModelShape shape, ShapeNamed(options.shape));
  if (options.layers > 0) shape.layers = std::min(options.layers, shape.layers);
  DeviceOptions device_options = options.device;
  if (device_options.threads == 0) device_options.threads = UsableMachine().cores;

  const Stopwatch making;
  KEDGE_ASSIGN_OR_RETURN(const RandomModel model, RandomModel::Make(shape, options.type, device_options.threads));
  KEDGE_ASSIGN_OR_RETURN(const ModelCost cost, CostOf(*model.file()));
  const double made = making.seconds();
  const std::vector<DecodeWork> works = DecodeWorks(options);
  const Content prompt = UnreadPrompt(options.prompt_rows, UINT32_MAX);
  uint64_t pages = PagesFor(prompt, 0, options.prompt_rows, 0);
  for (const DecodeWork& work : works) pages = std::max(pages, PagesFor(work));
  KEDGE_ASSIGN_OR_RETURN(const ModelConfig config, LoadConfig(*model.file()));
  device_options.kv_bytes = pages * kPageRows * config.row_shape(device_options.kv_type).page_row_bytes();
  device_options.weight_image = false;

  const Stopwatch loading;
  KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<StepDevice> device, MakeDevice(model.file(), device_options));
  Report(PartOf(options), "load the model", loading.seconds(), "s",
         absl::StrFormat("%s, %d layers, %.2f GB; made in %.1f s; class %s", TensorTypeName(options.type), shape.layers,
                         model.file()->total_bytes() / 1e9, made, device->numerics_class()));
  Speed speed(options, shape, cost, device.get());
  for (const DecodeWork& work : works) KEDGE_RETURN_IF_ERROR(speed.Decode(work));
  KEDGE_RETURN_IF_ERROR(speed.Prompt());
  return speed.Rows();
}

}  // namespace kedge
