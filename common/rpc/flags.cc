// Tested by flags_test.cc, and through the programs by cli/main_test.sh and tests/machine_test.py.
#include "common/rpc/flags.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/host_port.h"
#include "common/base/status.h"
#include "common/base/utf8.h"

namespace kedge {
namespace {

template <typename Parse>
CLI::Validator Parses(Parse parse) {
  return CLI::Validator([parse](std::string& text) { return std::string(parse(text).status().message()); }, "");
}

}  // namespace

CLI::Validator ListenAddress() { return Parses(ParseHostPort); }
CLI::Validator ReachableAddress() { return Parses(ParseReachable); }
CLI::Validator ReachableAddresses() { return Parses(ParseReachables); }

CLI::Validator WholeNumber(uint64_t least, uint64_t most) {
  return CLI::Validator(
      [least, most](std::string& text) {
        uint64_t value = 0;
        const bool is_number = std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
        if (is_number && absl::SimpleAtoi(text, &value) && least <= value && value <= most) return std::string();
        return absl::StrCat("is not a whole number from ", least, " to ", most, ": ", text);
      },
      "");
}

absl::Status CheckText(absl::string_view name, absl::string_view text) {
  const std::optional<size_t> at = FindInvalidUtf8(text);
  if (!at.has_value()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, ": is not valid UTF-8 at byte ", *at));
}

absl::Status CheckFlagTexts(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& text : option->results()) {
      std::error_code ignored;
      const absl::Status status = CheckText(option->get_name(), text);
      if (!status.ok() && !std::filesystem::exists(text, ignored)) return status;
    }
  }
  // Groups of options are commands without a name.
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    KEDGE_RETURN_IF_ERROR(CheckFlagTexts(*command));
  }
  return absl::OkStatus();
}

}  // namespace kedge
