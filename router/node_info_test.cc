#include "router/node_info.h"

#include <functional>
#include <string>
#include <utility>

#include "common/rpc/protocol.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(NodeInfoTest, EveryFieldIsBoundedAndPrintable) {
  node::v1::NodeInfo good;
  good.set_protocol_version(kProtocolVersion);
  good.set_node_id("decode-a:1");
  good.set_role(node::v1::ROLE_DECODE);
  good.set_address("a:1");
  good.set_fingerprint(std::string(64, 'f'));
  good.set_numerics_class("cpu-1");
  good.set_kv_type("q8");
  good.set_policy("anchors=text,longest=48");
  good.set_salience_heads("pointers=14.2,retrieval=8.0+17.4");
  good.set_row_bytes(1000);
  good.set_total_rows(100000);
  EXPECT_TRUE(CheckNodeInfo(good).ok()) << CheckNodeInfo(good);
  const std::pair<std::string, std::function<void(node::v1::NodeInfo*)>> wrong[] = {
      {"protocol_version: ", [](auto* info) { info->set_protocol_version(1); }},
      {"node_id: ", [](auto* info) { info->set_node_id("a\n2026-01-01 I router: all is well"); }},
      {"role: ", [](auto* info) { info->clear_role(); }},
      {"address: ", [](auto* info) { info->set_address("\x1b]0;owned\x07:1"); }},
      {"address: ", [](auto* info) { info->set_address("unix:/tmp/a"); }},
      {"address: ", [](auto* info) { info->set_address(std::string(6 << 20, 'a') + ":1"); }},
      {"fingerprint: ", [](auto* info) { info->set_fingerprint(std::string(129, 'f')); }},
      {"fingerprint: ", [](auto* info) { info->clear_fingerprint(); }},
      {"numerics_class: ", [](auto* info) { info->set_numerics_class("cpu\t1"); }},
      {"kv_type: ", [](auto* info) { info->set_kv_type(std::string(17, 'q')); }},
      {"policy: ", [](auto* info) { info->set_policy("full\x7f"); }},
      {"salience_heads: ", [](auto* info) { info->set_salience_heads(std::string(70000, '1')); }},
      {"row_bytes: ", [](auto* info) { info->set_row_bytes(UINT64_MAX); }},
      {"total_rows: ", [](auto* info) { info->set_total_rows(UINT64_MAX); }},
  };
  for (const auto& [begin, change] : wrong) {
    node::v1::NodeInfo info = good;
    change(&info);
    EXPECT_EQ(CheckNodeInfo(info).message().find(begin), 0u) << CheckNodeInfo(info);
  }
}

TEST(NodeInfoTest, AHeartbeatTellsNoTimeOfMoreThanADay) {
  node::v1::Heartbeat heartbeat;
  heartbeat.set_work_ahead_ms(kMostMilliseconds);
  heartbeat.set_token_us(kMostMilliseconds);
  heartbeat.set_full_ms(kMostMilliseconds);
  EXPECT_TRUE(CheckHeartbeat(heartbeat).ok());
  heartbeat.set_full_ms(kMostMilliseconds + 1);
  EXPECT_EQ(CheckHeartbeat(heartbeat).message().find("heartbeat.full_ms: "), 0u);
  heartbeat.set_token_us(UINT64_MAX);
  EXPECT_EQ(CheckHeartbeat(heartbeat).message().find("heartbeat.token_us: "), 0u);
  heartbeat.set_work_ahead_ms(UINT32_MAX);
  EXPECT_EQ(CheckHeartbeat(heartbeat).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace kedge
