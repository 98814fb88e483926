// `kedge doctor`: what this machine has and what Kedge would use of it.
//
// Tested by main_test.sh.
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generate_options.h"
#include "common/base/machine_limits.h"
#include "common/kernels/device_report.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

std::string ProcessorName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (absl::StripAsciiWhitespace(parts.first) != "model name") continue;
    return std::string(absl::StripAsciiWhitespace(parts.second));
  }
  return "a processor without a name";
}

std::vector<ReportLine> Examine(const std::string& toolkit) {
  const MachineLimits limits = UsableMachine();
  std::vector<ReportLine> lines = {
      {"processor", absl::StrFormat("%s, %d cores usable", ProcessorName(), limits.cores)},
      {"memory", absl::StrFormat("%.1f GiB usable", static_cast<double>(limits.memory_bytes) / (1 << 30))}};
  for (ReportLine& line : ReportDevices(toolkit)) lines.push_back(std::move(line));
  return lines;
}

std::string Text(const std::vector<ReportLine>& lines) {
  std::string text;
  for (const ReportLine& line : lines) absl::StrAppendFormat(&text, "%-13s  %s\n", line.what, line.text);
  return text;
}

std::string Json(const std::vector<ReportLine>& lines) {
  nlohmann::ordered_json json;
  for (const ReportLine& line : lines) json[line.what] = line.text;
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

void AddDoctorCommand(CLI::App* app, Action* action) {
  struct Options {
    std::string toolkit;
    AnswerFormat format = AnswerFormat::kText;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("doctor", "Say what this machine has, and what Kedge would use of it");
  command->add_option("--toolkit", options->toolkit, "Which toolkit for GPUs a build would take; ./kedge finds it out");
  AddFormatOption(command, "text: one line for each; json: one object", &options->format);
  command->callback([options, action] {
    *action = [options] {
      const std::vector<ReportLine> lines = Examine(options->toolkit);
      WriteOut(options->format == AnswerFormat::kJson ? Json(lines) : Text(lines));
      return kExitOk;
    };
  });
}

}  // namespace kedge
