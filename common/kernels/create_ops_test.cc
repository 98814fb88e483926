#include "common/kernels/create_ops.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/kernels/cpu/kernels.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(CreateOpsTest, MakesEachBackendByName) {
  EXPECT_EQ((*CreateOps({.backend = "cpu", .threads = 2}))->numerics_class(), "cpu-1");
  EXPECT_EQ((*CreateOps({.backend = "reference"}))->numerics_class(), "reference-1");
  EXPECT_EQ((*CreateOps({.backend = "cuda-emulated"}))->numerics_class(), "cpu-1");
}

TEST(CreateOpsTest, TheInstructionsCanBeNamed) {
  const std::vector<std::string> names = Backends();
  for (const std::string& name : names) EXPECT_TRUE(CreateOps({.backend = name}).ok()) << name;
  EXPECT_EQ((*CreateOps({.backend = "cpu:scalar"}))->numerics_class(), "cpu-1");
  for (InstructionSet set : kInstructionSets) {
    const std::string name = absl::StrCat("cpu:", std::string(InstructionSetName(set)));
    EXPECT_EQ(std::count(names.begin(), names.end(), name), IsAvailable(set) ? 1 : 0);
    EXPECT_EQ(CreateOps({.backend = name}).ok(), IsAvailable(set));
  }
}

// Asked for by name, it must be there; nobody gets another one instead.
TEST(CreateOpsTest, CudaIsUsedOrSaysInOneLineWhyNot) {
  const std::vector<std::string> names = Backends();
  const bool is_there = std::count(names.begin(), names.end(), "cuda") > 0;
  const absl::Status status = CreateOps({.backend = "cuda"}).status();
  EXPECT_EQ(status.ok(), is_there) << status;
  if (is_there) return;
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message().find('\n'), absl::string_view::npos);
}

TEST(CreateOpsTest, BackendsOfTheHostComputeOnNoGpu) {
  for (const std::string name : {"cpu", "cpu:scalar", "reference", "deferred", "cuda-emulated"}) {
    EXPECT_FALSE(ComputesOnGpu(name)) << name;
  }
  EXPECT_TRUE(ComputesOnGpu("cuda"));
}

TEST(CreateOpsTest, RowsOfAStepAreKnownBefore) {
  for (const std::string& name : Backends()) EXPECT_EQ(MaxRows(name), (*CreateOps({.backend = name}))->traits().max_rows);
  EXPECT_GT(MaxRows("cuda"), MaxRows("cpu"));
}

TEST(CreateOpsTest, AnUnknownNameIsAnErrorThatListsTheKnown) {
  for (const char* backend : {"gpu", "cpu:", "cpu:mmx"}) {
    const absl::Status status = CreateOps({.backend = backend}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(status.message()).find("cpu, reference, cpu:scalar"), std::string::npos);
  }
}

}  // namespace
}  // namespace kedge
