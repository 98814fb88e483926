#include "cli/device_list.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

using ::testing::ElementsAre;

std::string ErrorOf(const std::string& text, int num_prefill, int num_decode, const std::string& backend = "cuda") {
  return std::string(ParseDevices(text, backend, num_prefill, num_decode).status().message());
}

TEST(ParseDevicesTest, NamesAGpuForEachNode) {
  EXPECT_THAT(ParseDevices("0,1,2,3", "cuda", 2, 2).value(), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(ParseDevices("7,7", "cuda", 1, 1).value(), ElementsAre(7, 7));  // both on one
  EXPECT_THAT(ParseDevices("3", "cuda", 0, 1).value(), ElementsAre(3));
}

TEST(ParseDevicesTest, WrongCountsAreErrors) {
  EXPECT_EQ(ErrorOf("0,1,2", 2, 2),
            "--devices: names 3 for 2 prefill and 2 decode nodes, each of which needs one");
  EXPECT_EQ(ErrorOf("0,1,2", 1, 1),
            "--devices: names 3 for 1 prefill and 1 decode nodes, each of which needs one");
}

TEST(ParseDevicesTest, WhatIsNoNumberIsNamed) {
  for (const std::string text : {"", "x", "-1", "+1", " 1", "1024", "99999999999", "0x1", "1.0"}) {
    EXPECT_EQ(ErrorOf("0," + text, 1, 1), "--devices: \"" + text + "\" is not a whole number from 0 to 1023");
  }
}

TEST(ParseDevicesTest, TheCpuHasNone) {
  EXPECT_EQ(ErrorOf("0,1", 1, 1, "cpu"), "--devices: names a GPU, and the backend \"cpu\" computes on none");
}

}  // namespace
}  // namespace kedge
