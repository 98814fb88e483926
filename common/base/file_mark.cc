// Tested by file_mark_test.cc.
#include "common/base/file_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "xxhash.h"

namespace kedge {
namespace {

int64_t Nanoseconds(const struct timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

// `read` puts the bytes at an offset into a block, and returns whether they were there.
bool Sample(uint64_t size, absl::FunctionRef<bool(uint64_t, absl::Span<uint8_t>)> read, std::string* out) {
  std::vector<uint8_t> sample;
  const size_t block = std::min<uint64_t>(size, kMarkBlockBytes);
  for (size_t i = 0; i < kMarkBlocks && size > 0; ++i) {
    const size_t at = sample.size();
    sample.resize(at + block);
    const auto begin = static_cast<uint64_t>(static_cast<double>(size - block) * i / (kMarkBlocks - 1));
    if (!read(std::min(begin, size - block), absl::MakeSpan(sample).subspan(at))) return false;
  }
  const XXH128_hash_t hash = XXH3_128bits(sample.data(), sample.size());
  *out = absl::StrCat(absl::Hex(hash.high64, absl::kZeroPad16), absl::Hex(hash.low64, absl::kZeroPad16));
  return true;
}

std::string Line(const FileIdentity& identity, const std::string& sample) {
  return absl::StrCat(identity.size, " ", identity.mtime_ns, " ", identity.ctime_ns, " ", identity.inode, " ", sample);
}

}  // namespace

FileIdentity IdentityOf(const struct stat& info) {
  return {.size = static_cast<uint64_t>(info.st_size),
          .mtime_ns = Nanoseconds(info.st_mtim),
          .ctime_ns = Nanoseconds(info.st_ctim),
          .inode = info.st_ino};
}

std::string FileMark(const FileIdentity& identity, absl::Span<const uint8_t> bytes) {
  std::string sample;
  Sample(bytes.size(), [&](uint64_t begin, absl::Span<uint8_t> block) {
    std::memcpy(block.data(), bytes.data() + begin, block.size());
    return true;
  }, &sample);
  return Line(identity, sample);
}

absl::StatusOr<std::string> FileMark(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // do not wait at a pipe
  if (file < 0) return absl::ErrnoToStatus(errno, path);
  const absl::Cleanup close_file = [file] { close(file); };
  struct stat info;
  if (fstat(file, &info) != 0) return absl::ErrnoToStatus(errno, path);
  std::string sample;
  const bool read = Sample(info.st_size, [&](uint64_t begin, absl::Span<uint8_t> block) {
    return pread(file, block.data(), block.size(), static_cast<off_t>(begin)) == static_cast<ssize_t>(block.size());
  }, &sample);
  if (!read) return absl::UnavailableError(absl::StrCat(path, ": cannot be read"));
  return Line(IdentityOf(info), sample);
}

bool MayStillChange(const FileIdentity& identity, absl::Time now) {
  // Two seconds cover the coarsest clocks in use.
  return absl::FromUnixNanos(std::max(identity.mtime_ns, identity.ctime_ns)) > now - absl::Seconds(2);
}

}  // namespace kedge
