// The file: a page with a header, then each matrix at a multiple of the page size. The header has a hash of the rest,
// so a file that a crash left half on the disk is not taken. Space is allocated before it is written through a map,
// where a full disk would be a signal. Tested by panel_image_test.cc.
#include "common/kernels/cpu/panel_image.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/private_directory.h"
#include "common/base/steady_time.h"
#include "xxhash.h"

namespace kedge {
namespace {

constexpr size_t kPage = 4096;
constexpr absl::Duration kLockPoll = absl::Milliseconds(50);
constexpr char kMagic[8] = {'K', 'E', 'D', 'G', 'E', 'P', 'A', 'N'};

struct Header {
  char magic[8];
  uint64_t size;  // of the file
  uint64_t hash;  // XXH3 of everything behind the first page
};

size_t RoundUp(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// False if the file cannot be mapped.
bool HashOf(int file, size_t size, uint64_t* hash) {
  if (size <= kPage) return false;
  void* map = mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
  if (map == MAP_FAILED) return false;
  *hash = XXH3_64bits(static_cast<const uint8_t*>(map) + kPage, size - kPage);
  munmap(map, size);
  return true;
}

}  // namespace

PanelImage::PanelImage(std::string path, Notice notice, absl::Duration lock_wait)
    : path_(std::move(path)), notice_(std::move(notice)) {
  if (path_.empty()) return;
  const absl::Status made = MakePrivateDirectory(std::filesystem::path(path_).parent_path().string());
  if (!made.ok()) {
    GiveUp(std::string(made.message()));
  } else if (!Open()) {
    if (!Lock(lock_wait)) {
      GiveUp(errno == EWOULDBLOCK ? "another process holds its lock" : strerror(errno));
    } else if (!Open() && !Begin()) {  // Open: another process may have made it meanwhile
      GiveUp(strerror(errno));
    }
  }
}

PanelImage::~PanelImage() { Release(); }

bool PanelImage::Open() {
  file_ = open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (file_ < 0) return false;
  guard_ = std::make_shared<ImageGuard>(notice_);
  watched_ = guard_->Watch(file_);  // before it is read: what is read stays
  Header header;
  struct stat status;
  uint64_t hash = 0;
  complete_ = pread(file_, &header, sizeof(header), 0) == sizeof(header) && fstat(file_, &status) == 0 &&
              status.st_uid == geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
              std::memcmp(header.magic, kMagic, sizeof(kMagic)) == 0 &&
              header.size == static_cast<uint64_t>(status.st_size) && HashOf(file_, header.size, &hash) &&
              hash == header.hash;
  offset_ = kPage;
  if (complete_) return true;
  close(std::exchange(file_, -1));
  guard_ = nullptr;
  watched_ = false;
  return false;
}

// Whoever holds it packs, which takes seconds: or it is somebody who means no good, or a process that was stopped.
bool PanelImage::Lock(absl::Duration wait) {
  lock_ = open(absl::StrCat(path_, ".lock").c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (lock_ < 0) return false;
  const absl::Time end = SteadyNow() + wait;
  while (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EINTR && (errno != EWOULDBLOCK || SteadyNow() >= end)) return false;
    absl::SleepFor(kLockPoll);
  }
  return true;
}

bool PanelImage::Begin() {
  new_path_ = absl::StrCat(path_, ".new");  // only the holder of the lock writes it
  file_ = open(new_path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  offset_ = kPage;
  guard_ = std::make_shared<ImageGuard>(notice_);
  return file_ >= 0;
}

// What was handed out stays; the rest is memory of our own.
void PanelImage::GiveUp(const std::string& why) {
  Release();
  if (notice_) notice_(absl::StrCat("the packed weights are not shared with other processes: ", path_, ": ", why));
}

void PanelImage::Release() {
  if (!new_path_.empty()) unlink(new_path_.c_str());
  new_path_.clear();
  if (file_ >= 0) close(std::exchange(file_, -1));
  if (lock_ >= 0) close(std::exchange(lock_, -1));
}

PanelImage::Part PanelImage::Next(size_t bytes) {
  const size_t begin = offset_;
  if (file_ >= 0 && bytes > 0) {
    offset_ += RoundUp(bytes);
    struct stat status;
    int error = 0;
    if (!complete_) {
      error = posix_fallocate(file_, begin, RoundUp(bytes));
    } else if (fstat(file_, &status) != 0 || offset_ > static_cast<uint64_t>(status.st_size)) {
      error = EINVAL;  // of other matrices
    }
    if (error == 0) {
      if (absl::StatusOr<LazyMemory> memory = LazyMemory::Map(file_, begin, bytes, !complete_); memory.ok()) {
        ImageGuard::Region guarded = ImageGuard::Add(guard_, memory->data(), RoundUp(bytes), begin);
        return {*std::move(memory), complete_, std::move(guarded)};
      }
      error = ENOMEM;
    }
    GiveUp(strerror(error));
  }
  absl::StatusOr<LazyMemory> memory = LazyMemory::Allocate(bytes);
  KEDGE_CHECK(memory.ok());  // 64-bit address space; physical memory is only taken when it is written
  return {*std::move(memory), false, {}};
}

void PanelImage::Finish() {
  const absl::Cleanup release = [this] { Release(); };
  if (file_ < 0) return;
  if (!complete_ && !Seal()) return GiveUp(strerror(errno));
  if (watched_) return;
  const absl::Status copied = guard_->Copy();
  if (notice_) {
    notice_(absl::StrCat("the packed weights of ", path_, " cannot be watched, so this process holds a copy",
                         copied.ok() ? "" : absl::StrCat(": ", copied.message())));
  }
}

// A new file is complete: from here on nobody writes to it, neither this process.
bool PanelImage::Seal() {
  Header header = {.size = offset_};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  if (!HashOf(file_, offset_, &header.hash) || pwrite(file_, &header, sizeof(header), 0) != sizeof(header)) {
    return false;
  }
  const int sealed = open(new_path_.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (sealed < 0 || !guard_->MapReadOnly(sealed).ok()) {
    if (sealed >= 0) close(sealed);
    return false;
  }
  close(std::exchange(file_, sealed));
  watched_ = guard_->Watch(file_);
  if (rename(new_path_.c_str(), path_.c_str()) != 0) return false;
  new_path_.clear();
  return true;
}

}  // namespace kedge
