// Tested by node_info_test.cc.
#include "router/node_info.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status.h"
#include "common/rpc/node_name.h"
#include "common/rpc/protocol.h"

namespace kedge {
namespace {

constexpr size_t kMaxPolicy = size_t{1} << 20;  // as FORMAT.md bounds it: it may list tokens
constexpr size_t kMaxHeads = size_t{1} << 16;
constexpr uint64_t kMaxRowBytes = uint64_t{1} << 30;
constexpr uint64_t kMaxRows = uint64_t{1} << 48;

absl::Status CheckText(absl::string_view text, size_t most, absl::string_view field) {
  const bool printable = std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (printable && text.size() <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": must be at most ", most, " printable ASCII characters without space"));
}

}  // namespace

absl::Status CheckNodeInfo(const node::v1::NodeInfo& info) {
  if (info.protocol_version() != kProtocolVersion) {
    return absl::FailedPreconditionError(absl::StrCat("protocol_version: the node's is ", info.protocol_version(),
                                                      ", the cluster's is ", kProtocolVersion));
  }
  KEDGE_RETURN_IF_ERROR(CheckNodeName(info.node_id(), "node_id"));
  if (info.role() != node::v1::ROLE_PREFILL && info.role() != node::v1::ROLE_DECODE) {
    return absl::InvalidArgumentError("role: must be ROLE_PREFILL or ROLE_DECODE");
  }
  KEDGE_RETURN_IF_ERROR(CheckNodeAddress(info.address(), "address"));
  KEDGE_RETURN_IF_ERROR(CheckNodeName(info.fingerprint(), "fingerprint"));
  KEDGE_RETURN_IF_ERROR(CheckNodeName(info.numerics_class(), "numerics_class"));
  KEDGE_RETURN_IF_ERROR(CheckText(info.kv_type(), 16, "kv_type"));
  KEDGE_RETURN_IF_ERROR(CheckText(info.policy(), kMaxPolicy, "policy"));
  KEDGE_RETURN_IF_ERROR(CheckText(info.salience_heads(), kMaxHeads, "salience_heads"));
  if (info.row_bytes() > kMaxRowBytes) return absl::InvalidArgumentError("row_bytes: are more than a row can have");
  if (info.total_rows() > kMaxRows) return absl::InvalidArgumentError("total_rows: are more than a node can have");
  return absl::OkStatus();
}

absl::Status CheckHeartbeat(const node::v1::Heartbeat& heartbeat) {
  for (const auto& [field, value] : {std::pair<const char*, uint64_t>("work_ahead_ms", heartbeat.work_ahead_ms()),
                                     {"token_us", heartbeat.token_us()},
                                     {"full_ms", heartbeat.full_ms()}}) {
    if (value <= kMostMilliseconds) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("heartbeat.", field, ": is ", value, ", and at most ", kMostMilliseconds));
  }
  return absl::OkStatus();
}

}  // namespace kedge
