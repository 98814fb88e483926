// Tested by flags_test.cc, and through the programs by cli/main_test.sh and tests/machine_test.py.
#include "common/rpc/flags.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
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
CLI::Validator ListenHost() { return Parses(ParseHost); }
CLI::Validator ReachableAddress() { return Parses(ParseReachable); }
CLI::Validator ReachableAddresses() { return Parses(ParseReachables); }

CLI::Validator WholeNumber(int64_t least, uint64_t most) {
  return CLI::Validator(
      [least, most](std::string& text) {
        absl::string_view digits = text;
        const bool is_negative = least < 0 && absl::ConsumePrefix(&digits, "-");
        uint64_t value = 0;
        const bool is_number =
            std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) && absl::SimpleAtoi(digits, &value);
        const bool is_within = is_negative ? value <= static_cast<uint64_t>(-least)
                                           : value <= most && (least < 0 || value >= static_cast<uint64_t>(least));
        if (!is_number || !is_within) {
          return absl::StrCat("is not a whole number from ", least, " to ", most, ": ", text);
        }
        if (digits[0] == '0' && digits.size() > 1) {
          return absl::StrCat("begins with 0, which some take for octal: ", text, "; write ", is_negative ? "-" : "",
                              value);
        }
        return std::string();
      },
      "");
}

CLI::Validator Number(double least, double most) {
  return CLI::Validator(
      [least, most](std::string& text) {
        double value = 0;
        const bool is_number = absl::SimpleAtod(text, &value) && std::isfinite(value);
        if (is_number && least <= value && value <= most) return std::string();
        const double all = std::numeric_limits<double>::max();
        const std::string range = least == -all ? ""
                                  : most == all ? absl::StrCat(" from ", least, " on")
                                                : absl::StrCat(" from ", least, " to ", most);
        return absl::StrCat("is not a number", range, ": ", text);
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
      if (text.empty() && option->get_type_name() == kFileType) {
        return absl::InvalidArgumentError(absl::StrCat(option->get_name(), ": is empty"));
      }
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
