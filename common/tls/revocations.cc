// Tested by revocations_test.cc.
#include "common/tls/revocations.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace kedge {

Revocations::Revocations(absl::string_view text) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (!line.empty()) entries_.insert(absl::AsciiStrToUpper(line));
  }
}

bool Revocations::Has(absl::string_view serial, const std::vector<std::string>& names) const {
  const auto has = [this](absl::string_view entry) { return entries_.count(absl::AsciiStrToUpper(entry)) > 0; };
  return has(serial) || std::any_of(names.begin(), names.end(), has);
}

}  // namespace kedge
