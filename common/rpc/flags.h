// What the flags of all programs are checked with.
#ifndef KEDGE_COMMON_RPC_FLAGS_H_
#define KEDGE_COMMON_RPC_FLAGS_H_

#include <cstdint>
#include <limits>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace kedge {

// HOST:PORT where a server listens: port 0 takes a free one.
CLI::Validator ListenAddress();
// The host alone.
CLI::Validator ListenHost();
// HOST:PORT of a server that runs.
CLI::Validator ReachableAddress();
// The same, one or several with commas between them.
CLI::Validator ReachableAddresses();

// Of every flag that takes a whole number: digits, and a value in [least, most]. CLI11 by itself takes -1 and what is
// beyond 64 bits as 2^64 - 1, 010 as eight, and 0x10 as sixteen.
CLI::Validator WholeNumber(int64_t least, uint64_t most);
// Of every flag that takes another number: a finite one in [least, most].
CLI::Validator Number(double least = -std::numeric_limits<double>::max(),
                      double most = std::numeric_limits<double>::max());

// kInvalidArgument if `text` is not UTF-8: protos hold nothing else, and say so without naming the field.
absl::Status CheckText(absl::string_view name, absl::string_view text);

// Type of flags that name a file or a folder, in their help: what may not be empty, see below.
inline constexpr char kFileType[] = "FILE";

// Help of --tls-dir, which routers, nodes and tools share.
inline constexpr char kTlsDirectoryHelp[] =
    "directory with ca.pem, cert.pem and key.pem of this process in the cluster, and perhaps a list `revoked`, as "
    "`kedge certs` makes them: read again when they change (default: none; then everything is on the loopback)";

// Help of flags that all servers share.
inline constexpr char kMaxConnectionsHelp[] =
    "connections that may be open at --listen: who comes beyond them is sent away at once (default: as many as the "
    "files that this process may have open allow, ulimit -n)";
inline constexpr char kWatchdogHelp[] =
    "seconds after which this process ends, with exit status 1, if it finds at its own door that nobody is let in; "
    "0: it does not look";
inline constexpr double kWatchdogSeconds = 30;

// The same for all flags: texts end up in protos and on terminals. Names of files may have any bytes, but not none: an
// empty one comes from a variable that is not set, and would pass for a flag that is not given. kInvalidArgument names
// the flag, of `app` or of the commands that were given. Call it after the parse.
absl::Status CheckFlagTexts(const CLI::App& app);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_FLAGS_H_
