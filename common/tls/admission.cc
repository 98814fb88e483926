// Tested by admission_test.cc.
#include "common/tls/admission.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace kedge {
namespace {

struct Rule {
  absl::string_view service;  // as a path begins
  std::vector<MemberRole> callers;
};

const std::vector<Rule>& Rules() {
  using enum MemberRole;
  static const auto* const rules = new std::vector<Rule>{
      {"/kedge.node.v1.RegistryService/", {kPrefill, kDecode}},
      {"/kedge.node.v1.DecodeService/", {kRouter}},
      {"/kedge.node.v1.PrefillService/", {kRouter, kDecode}},
      {"/kedge.node.v1.KnownAnswerService/", {kRouter}},
      {"/kedge.inference.v1.ClusterService/", {kRouter, kAdmin}},
      {"/grpc.health.v1.Health/", {kRouter, kPrefill, kDecode, kAdmin}},
      {"/grpc.reflection.v1alpha.ServerReflection/", {kRouter, kPrefill, kDecode, kAdmin}},
  };
  return *rules;
}

}  // namespace

bool Peer::HasName(absl::string_view name) const { return std::count(names.begin(), names.end(), name) > 0; }

bool Peer::HasRole(MemberRole role) const { return std::count(uris.begin(), uris.end(), MemberRoleUri(role)) > 0; }

bool MayCall(const Peer& peer, absl::string_view path) {
  for (const Rule& rule : Rules()) {
    if (!absl::StartsWith(path, rule.service)) continue;
    return std::any_of(rule.callers.begin(), rule.callers.end(), [&](MemberRole role) { return peer.HasRole(role); });
  }
  return false;
}

}  // namespace kedge
