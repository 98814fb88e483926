#include "decode/row_source.h"

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(RowSourceTest, WhatIsStoredDecides) {
  const RowSourceLimits limits{.min_remote_tokens = 10, .max_continued_tokens = 100};
  EXPECT_FALSE(ComputesHere({.missing = 500}, limits));
  EXPECT_TRUE(ComputesHere({.missing = 500, .stored = 500}, limits));
  EXPECT_TRUE(ComputesHere({.missing = 500, .stored = 400}, limits));
  EXPECT_FALSE(ComputesHere({.missing = 500, .stored = 399}, limits));
  EXPECT_FALSE(ComputesHere({.missing = 50}, limits));  // nothing is stored: it is no continuation
  EXPECT_TRUE(ComputesHere({.missing = 9}, limits));
  EXPECT_TRUE(ComputesHere({.missing = 500, .stored = 1, .candidates = false}, limits));
  EXPECT_TRUE(ComputesHere({.missing = 0}, {.min_remote_tokens = 0}));
}

}  // namespace
}  // namespace kedge
