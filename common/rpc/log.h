// The one set-up of spdlog for all of Kedge's processes: stderr, one line an event.
#ifndef KEDGE_COMMON_RPC_LOG_H_
#define KEDGE_COMMON_RPC_LOG_H_

#include <string>

#include "absl/status/status.h"

namespace kedge {

// What --log-level takes.
inline constexpr char kLogLevels[] = "trace, debug, info, warn, error, off";

// `name` stands in each line, e.g. "router". kInvalidArgument: an unknown level.
absl::Status InitLog(const std::string& name, const std::string& level);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_LOG_H_
