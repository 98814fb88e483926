// The one set-up of spdlog for all of Kedge's processes: stderr, one line an event. Whatever an event repeats of what
// came from outside, it is one printable line of at most 4 KiB; and nobody who logs waits for whoever reads stderr
// (line_writer.h). What gRPC and protobuf have to say comes here too.
#ifndef KEDGE_COMMON_RPC_LOG_H_
#define KEDGE_COMMON_RPC_LOG_H_

#include <string>

#include "absl/status/status.h"

namespace kedge {

// What --log-level takes.
inline constexpr char kLogLevels[] = "trace, debug, info, warn, error, off";

// `name` stands in each line, e.g. "router". kInvalidArgument: an unknown level. The end of the process waits for what
// is still to be written, for a second at most; a process that is killed may leave its last lines unwritten.
absl::Status InitLog(const std::string& name, const std::string& level);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_LOG_H_
