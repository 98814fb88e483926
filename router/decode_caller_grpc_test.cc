#include "router/decode_caller_grpc.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/base/clock.h"
#include "gtest/gtest.h"
#include "router/node_info_testing.h"

namespace kedge {
namespace {

TEST(DecodeCallerGrpcTest, ForgetsTheChannelsOfNodesThatHaveLeft) {
  RealClock clock;
  NodeRegistry registry(&clock, "print", "");
  DecodeCallerGrpc caller(&registry, &clock, nullptr);
  // Each life of a node has another port; nobody listens on any of them.
  const auto call = [&](const std::string& id, int port) {
    const node::v1::NodeInfo info = InfoOfNode(id, absl::StrCat("127.0.0.1:", port));
    NodeSnapshot node;
    node.registration = *registry.Register(info);
    node.address = info.address();
    for (int i = 0; i < 2; ++i) {  // one channel for both
      absl::Notification done;
      DecodeEvents events;
      events.on_message = [](const node::v1::DecodeResponse&) {};
      events.on_done = [&](const absl::Status& status) {
        EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
        done.Notify();
      };
      caller.Start(node, {}, absl::Now() + absl::Seconds(10), std::move(events));
      done.WaitForNotification();
    }
    return node.registration;
  };
  call("stays", 1);
  for (int i = 2; i < 6; ++i) {
    const uint64_t registration = call("restarts", i);
    EXPECT_EQ(caller.num_channels(), 2u);
    registry.Remove(registration);
  }
}

}  // namespace
}  // namespace kedge
