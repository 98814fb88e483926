#include "tests/message_mutator.h"

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kedge/node/v1/node.pb.h"

namespace kedge {
namespace {

TEST(MessageMutatorTest, ReachesEveryKindOfFieldAtEveryDepth) {
  node::v1::DecodeRequest request;
  request.set_request_id("r");
  request.mutable_content()->add_ids(5);
  request.mutable_content()->add_pinned()->set_end(1);
  request.mutable_sampling()->set_temperature(1);
  std::mt19937_64 random(1);
  std::set<std::string> seen;
  for (int i = 0; i < 20000; ++i) {
    node::v1::DecodeRequest changed = request;
    MutateMessage(random, &changed);
    if (changed.request_id() != "r") seen.insert("string");
    if (changed.content().ids_size() > 1) seen.insert("element added");
    if (changed.content().ids_size() == 1 && changed.content().ids(0) != 5) seen.insert("element");
    if (changed.content().pinned_size() == 1 && changed.content().pinned(0).begin() == UINT32_MAX) seen.insert("deep");
    if (changed.content().has_salient()) seen.insert("message made");
    if (!changed.has_sampling()) seen.insert("message gone");
    if (std::isnan(changed.sampling().temperature())) seen.insert("NaN");
    if (!changed.sampling().logit_bias().empty()) seen.insert("map");
  }
  EXPECT_EQ(seen.size(), 8u) << testing::PrintToString(seen);
}

TEST(MessageMutatorTest, WhatIsNoMessageOrDoesNotFitIsLeft) {
  node::v1::DecodeRequest scratch;
  uint8_t bytes[4] = {0xff, 0xff, 0xff, 0xff};
  EXPECT_EQ(MutateSerialized(&scratch, bytes, sizeof(bytes), sizeof(bytes), 1), 0u);
  std::vector<uint8_t> room(100000);
  size_t changed = 0;
  for (unsigned int seed = 0; seed < 50; ++seed) {
    changed += MutateSerialized(&scratch, room.data(), 0, room.size(), seed) > 0;
  }
  EXPECT_GT(changed, 10u);
  for (unsigned int seed = 0; seed < 50; ++seed) EXPECT_LE(MutateSerialized(&scratch, room.data(), 0, 1, seed), 1u);
}

}  // namespace
}  // namespace kedge
