// Whether a file is still the one that was looked at before.
#ifndef KEDGE_COMMON_BASE_FILE_MARK_H_
#define KEDGE_COMMON_BASE_FILE_MARK_H_

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace kedge {

// What the file system says of a file. Size and mtime are what whoever replaces a file can make equal (cp -p, touch,
// packages and images that set times); inode and ctime are the file system's own.
struct FileIdentity {
  uint64_t size = 0;
  int64_t mtime_ns = 0;  // since the Unix epoch, as ctime_ns
  int64_t ctime_ns = 0;
  uint64_t inode = 0;
};
FileIdentity IdentityOf(const struct stat& info);

// The identity, and a hash of kMarkBlocks blocks of the file's bytes, its first and its last among them, for file
// systems that say of another content what they said of this one: one line, which no file has that was replaced or
// written to since. Beside a file that MayStillChange it says nothing.
inline constexpr size_t kMarkBlocks = 64;
inline constexpr size_t kMarkBlockBytes = 4096;
std::string FileMark(const FileIdentity& identity, absl::Span<const uint8_t> bytes);
// Of the file that lies there now. kNotFound, or another code, names it.
absl::StatusOr<std::string> FileMark(const std::string& path);

// Whether it was touched so lately that it could be again within one tick of the clock that its times come from.
bool MayStillChange(const FileIdentity& identity, absl::Time now);

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_FILE_MARK_H_
