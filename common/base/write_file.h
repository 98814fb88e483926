// Files that are whole whenever somebody reads them.
#ifndef KEDGE_COMMON_BASE_WRITE_FILE_H_
#define KEDGE_COMMON_BASE_WRITE_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace kedge {

// Writes the file beside its place and renames it into it, so that readers and other writers, of other processes too,
// see an old one or a new one, and a failure leaves what was there. Makes the directory if need be. kUnavailable names
// the path. Thread-safe.
absl::Status WriteFile(const std::string& path, absl::string_view bytes);

// The same for what is this user's alone, as all of the cache is: the file (0600) and its directory
// (MakePrivateDirectory).
absl::Status WritePrivateFile(const std::string& path, absl::string_view bytes);

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_WRITE_FILE_H_
