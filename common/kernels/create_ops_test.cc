#include "common/kernels/create_ops.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/kernels/cpu/kernels.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

TEST(CreateOpsTest, MakesEachBackendByName) {
  EXPECT_EQ((*CreateOps("cpu", 2))->numerics_class(), "cpu-1");
  EXPECT_EQ((*CreateOps("reference", 2))->numerics_class(), "reference-1");
}

TEST(CreateOpsTest, TheInstructionsCanBeNamed) {
  EXPECT_EQ((*CreateOps("cpu:scalar", 1))->numerics_class(), "cpu-1");
  for (InstructionSet set : kInstructionSets) {
    EXPECT_EQ(CreateOps(absl::StrCat("cpu:", std::string(InstructionSetName(set))), 1).ok(), IsAvailable(set));
  }
}

TEST(CreateOpsTest, AnUnknownNameIsAnErrorThatListsTheKnown) {
  for (const char* backend : {"gpu", "cpu:", "cpu:mmx"}) {
    const absl::Status status = CreateOps(backend, 1).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(status.message()).find("cpu, reference, cpu:scalar"), std::string::npos);
  }
}

}  // namespace
}  // namespace kedge
