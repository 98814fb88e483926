#include "common/kernels/create_ops.h"

#include <string>

#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(CreateOpsTest, MakesEachBackendByName) {
  EXPECT_EQ((*CreateOps("cpu", 2))->numerics_class(), "cpu-1");
  EXPECT_EQ((*CreateOps("reference", 2))->numerics_class(), "reference-1");
}

TEST(CreateOpsTest, AnUnknownNameIsAnErrorThatListsTheKnown) {
  const absl::Status status = CreateOps("gpu", 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(status.message()).find("cpu and reference"), std::string::npos);
}

}  // namespace
}  // namespace kedge
