// What `bench router` measures, by name: 32x20.
#ifndef KEDGE_BENCH_ROUTER_WORK_H_
#define KEDGE_BENCH_ROUTER_WORK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kedge {

// STREAMSxRATE: so many answers at once, each of which gets so many tokens per second.
struct RouterWork {
  uint32_t streams = 1;
  uint32_t rate = 1;
  friend bool operator==(const RouterWork&, const RouterWork&) = default;
};

std::string RouterWorkName(const RouterWork& work);

// Names separated by commas. kInvalidArgument names the one that is none, and the form.
absl::StatusOr<std::vector<RouterWork>> ParseRouterWorks(absl::string_view names);

}  // namespace kedge

#endif  // KEDGE_BENCH_ROUTER_WORK_H_
