// Who of a cluster's members may call what of another's.
#ifndef KEDGE_COMMON_TLS_ADMISSION_H_
#define KEDGE_COMMON_TLS_ADMISSION_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/tls/certificate.h"

namespace kedge {

// What a peer has shown.
struct Peer {
  std::vector<std::string> names;  // DNS names of its certificate
  std::vector<std::string> uris;

  bool HasName(absl::string_view name) const;
  bool HasRole(MemberRole role) const;
};

// Pure. `path` is a call's method, "/kedge.node.v1.DecodeService/Decode". Health and reflection are for every member;
// what is not known is for nobody.
bool MayCall(const Peer& peer, absl::string_view path);

}  // namespace kedge

#endif  // KEDGE_COMMON_TLS_ADMISSION_H_
