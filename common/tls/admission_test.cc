#include "common/tls/admission.h"

#include <map>
#include <string>

#include "gtest/gtest.h"

namespace kedge {
namespace {

Peer WithRole(MemberRole role) { return {.names = {"a"}, .uris = {MemberRoleUri(role)}}; }

// The whole table: rows are methods, letters the roles that may call them.
TEST(AdmissionTest, EachMethodHasItsCallers) {
  const std::map<std::string, std::string> table = {
      {"/kedge.node.v1.RegistryService/Register", "prefill decode "},
      {"/kedge.node.v1.DecodeService/Decode", "router "},
      {"/kedge.node.v1.PrefillService/Prefill", "router decode "},
      {"/kedge.inference.v1.ClusterService/ListNodes", "router admin "},
      {"/grpc.health.v1.Health/Check", "router prefill decode admin "},
      {"/grpc.health.v1.Health/Watch", "router prefill decode admin "},
      {"/kedge.inference.v1.InferenceService/Generate", ""},
      {"/kedge.node.v1.DecodeServiceX/Decode", ""},
      {"kedge.node.v1.DecodeService/Decode", ""},
      {"", ""}};
  for (const auto& [path, callers] : table) {
    std::string may;
    for (const MemberRole role : kMemberRoles) {
      if (MayCall(WithRole(role), path)) may += std::string(MemberRoleName(role)) + " ";
    }
    EXPECT_EQ(may, callers) << path;
    EXPECT_FALSE(MayCall({.names = {"router"}, .uris = {"router", "kedge:role:routers", "kedge:role:"}}, path)) << path;
    EXPECT_FALSE(MayCall({}, path)) << path;
  }
}

}  // namespace
}  // namespace kedge
