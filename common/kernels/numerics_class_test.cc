#include "common/kernels/numerics_class.h"

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

// What it has been since there is a class of this name. Whoever changes the bits of an operation makes another class,
// in which no request of this one can go on: then this changes.
constexpr char kCpu[] = "cpu-1.73e9a5b5";

// All instruction sets of this machine, any threads, and the emulated GPU.
TEST(NumericsClassTest, BackendsThatPromiseEqualBitsAreOneClass) {
  for (const std::string& name : Backends()) {
    for (const int threads : {1, 3}) {
      const absl::StatusOr<std::string> found = NumericsClass({.backend = name, .threads = threads});
      ASSERT_TRUE(found.ok()) << name << ": " << found.status();
      if (name == "reference") {
        EXPECT_TRUE(absl::StartsWith(*found, "reference-1.")) << *found;
        EXPECT_NE(found->substr(found->find('.')), std::string(kCpu).substr(5)) << "it does not see other bits";
      } else {
        EXPECT_EQ(*found, kCpu) << name;
      }
    }
  }
}

}  // namespace
}  // namespace kedge
