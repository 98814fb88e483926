// Tested by router_work_test.cc.
#include "bench/router_work.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/work.h"

namespace kedge {
namespace {

constexpr uint32_t kMaxStreams = 1024;
constexpr uint32_t kMaxRate = 10'000;

}  // namespace

std::string RouterWorkName(const RouterWork& work) { return absl::StrCat(work.streams, "x", work.rate); }

absl::StatusOr<std::vector<RouterWork>> ParseRouterWorks(absl::string_view names) {
  std::vector<RouterWork> works;
  for (absl::string_view name : absl::StrSplit(names, ',')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(absl::StripAsciiWhitespace(name), 'x');
    RouterWork work;
    if (parts.size() != 2 || !ParseCount(parts[0], 1, kMaxStreams, &work.streams) ||
        !ParseCount(parts[1], 1, kMaxRate, &work.rate)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "works: \"", name, "\" is none; the form is STREAMSxRATE, at most ", kMaxStreams, "x", kMaxRate));
    }
    works.push_back(work);
  }
  return works;
}

}  // namespace kedge
