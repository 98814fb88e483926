// mremap(2) puts a copy into the place of what it was copied from in one step: no reader sees anything in between.
// Tested by image_guard_test.cc.
#include "common/kernels/cpu/image_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace kedge {
namespace {

constexpr std::chrono::milliseconds kInterval{200};  // of looking whether somebody wants to write

bool CopyInPlace(uint8_t* data, size_t bytes) {
  void* const copy = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (copy == MAP_FAILED) return false;
  std::memcpy(copy, data, bytes);
  if (mprotect(copy, bytes, PROT_READ) == 0 &&
      mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, data) != MAP_FAILED) {
    return true;
  }
  munmap(copy, bytes);
  return false;
}

}  // namespace

ImageGuard::~ImageGuard() {
  {
    std::lock_guard lock(stop_mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (file_ < 0) return;
  fcntl(file_, F_SETLEASE, F_UNLCK);  // it would last as long as the file is open anywhere
  close(file_);
}

ImageGuard::Region& ImageGuard::Region::operator=(Region&& other) noexcept {
  if (this == &other) return *this;
  End();
  guard_ = std::exchange(other.guard_, nullptr);
  data_ = other.data_;
  return *this;
}

void ImageGuard::Region::End() {
  if (guard_ == nullptr) return;
  {
    absl::MutexLock lock(&guard_->mutex_);
    guard_->regions_.erase(data_);
  }
  guard_ = nullptr;
}

ImageGuard::Region ImageGuard::Add(const std::shared_ptr<ImageGuard>& guard, uint8_t* data, size_t bytes,
                                   size_t offset) {
  {
    absl::MutexLock lock(&guard->mutex_);
    guard->regions_[data] = {bytes, offset};
  }
  Region region;
  region.guard_ = guard;
  region.data_ = data;
  return region;
}

bool ImageGuard::Watch(int file) {
  file_ = fcntl(file, F_DUPFD_CLOEXEC, 0);  // the same lease, for as long as one of the two is open
  // The kernel tells by a signal as well, which nobody needs: one that is ignored unless somebody asks for it.
  if (file_ < 0 || fcntl(file_, F_SETSIG, SIGURG) != 0 || fcntl(file_, F_SETLEASE, F_RDLCK) != 0) return false;
  thread_ = std::thread([this] { WatchLease(); });
  return true;
}

absl::Status ImageGuard::MapReadOnly(int file) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [data, mapped] : regions_) {
    if (mmap(data, mapped.bytes, PROT_READ, MAP_SHARED | MAP_FIXED, file, static_cast<off_t>(mapped.offset)) ==
        MAP_FAILED) {
      return absl::ResourceExhaustedError(absl::StrCat("cannot map a file anew: ", strerror(errno)));
    }
  }
  return absl::OkStatus();
}

absl::Status ImageGuard::Copy() {
  absl::MutexLock lock(&mutex_);
  for (const auto& [data, mapped] : regions_) {
    if (!CopyInPlace(data, mapped.bytes)) {
      return absl::ResourceExhaustedError(absl::StrCat("no memory for a copy: ", strerror(errno)));
    }
  }
  return absl::OkStatus();
}

void ImageGuard::WatchLease() {
  while (true) {
    {
      std::unique_lock lock(stop_mutex_);
      if (stopping_.wait_for(lock, kInterval, [this] { return stop_; })) return;
    }
    if (fcntl(file_, F_GETLEASE) == F_RDLCK) continue;
    const absl::Status copied = Copy();
    if (notice_) {
      notice_(absl::StrCat("somebody writes to the file of packed weights; this process goes on with a copy",
                           copied.ok() ? "" : absl::StrCat(": ", copied.message())));
    }
    if (copied.ok()) fcntl(file_, F_SETLEASE, F_UNLCK);  // else the kernel's patience is all that is left
    return;
  }
}

}  // namespace kedge
