// What the flags of all programs are checked with.
#ifndef KEDGE_COMMON_RPC_FLAGS_H_
#define KEDGE_COMMON_RPC_FLAGS_H_

#include <cstdint>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace kedge {

// HOST:PORT where a server listens: port 0 takes a free one.
CLI::Validator ListenAddress();
// HOST:PORT of a server that runs.
CLI::Validator ReachableAddress();
// The same, one or several with commas between them.
CLI::Validator ReachableAddresses();

// Digits, and a value in [least, most]. CLI11 by itself takes -1 and what is beyond 64 bits as 2^64 - 1.
CLI::Validator WholeNumber(uint64_t least, uint64_t most);

// kInvalidArgument if `text` is not UTF-8: protos hold nothing else, and say so without naming the field.
absl::Status CheckText(absl::string_view name, absl::string_view text);

// The same for all flags: texts end up in protos and on terminals. kInvalidArgument names the flag, of `app` or of the
// commands that were given. Names of files may have any bytes. Call it after the parse.
absl::Status CheckFlagTexts(const CLI::App& app);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_FLAGS_H_
