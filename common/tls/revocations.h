// The certificates of a cluster that count no more.
#ifndef KEDGE_COMMON_TLS_REVOCATIONS_H_
#define KEDGE_COMMON_TLS_REVOCATIONS_H_

#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace kedge {

// A list as a file has it: a line each, serial numbers in hex or names; '#' begins a comment. Any text is one.
class Revocations {
 public:
  Revocations() = default;
  explicit Revocations(absl::string_view text);

  bool empty() const { return entries_.empty(); }
  // Whether a certificate of this serial number or with one of these names is on it. Letters count in either case.
  bool Has(absl::string_view serial, const std::vector<std::string>& names) const;

 private:
  std::set<std::string> entries_;  // upper case
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TLS_REVOCATIONS_H_
