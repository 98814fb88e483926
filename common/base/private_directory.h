// Directories for what is one user's alone.
#ifndef KEDGE_COMMON_BASE_PRIVATE_DIRECTORY_H_
#define KEDGE_COMMON_BASE_PRIVATE_DIRECTORY_H_

#include <string>

#include "absl/status/status.h"

namespace kedge {

// Makes the directory, and those above it that are missing, for nobody but this user (0700). One that is there must be
// a directory of this user's; a link to one only if the link is this user's too. If others may look or write into it,
// they no longer may. kUnavailable names the path.
absl::Status MakePrivateDirectory(const std::string& path);

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_PRIVATE_DIRECTORY_H_
