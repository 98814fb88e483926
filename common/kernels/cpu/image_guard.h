// Keeps what is mapped of a file as it was, whatever becomes of the file.
#ifndef KEDGE_COMMON_KERNELS_CPU_IMAGE_GUARD_H_
#define KEDGE_COMMON_KERNELS_CPU_IMAGE_GUARD_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace kedge {

// Regions of memory that map one file, which a read lease watches (fcntl(2)): whoever opens the file to write to it, or
// truncates it, is held up by the kernel (for 45 s at most, /proc/sys/fs/lease-break-time) until every holder of a
// lease has let go. This one first copies its regions into memory of its own, in their places, where readers go on
// reading meanwhile. Without a lease (a file system that has none, a file of another user) they are copied at once.
// What remains: a process that is stopped for longer than those 45 s while somebody changes the file. Thread-safe.
class ImageGuard {
 public:
  // Says why the memory is not shared any more, on a thread of this class.
  using Notice = std::function<void(const std::string& why)>;

  explicit ImageGuard(Notice notice) : notice_(std::move(notice)) {}
  ~ImageGuard();
  ImageGuard(const ImageGuard&) = delete;
  ImageGuard& operator=(const ImageGuard&) = delete;

  // A region of a guard. It ends before the memory does.
  class Region {
   public:
    Region() = default;
    Region(Region&& other) noexcept { *this = std::move(other); }
    Region& operator=(Region&& other) noexcept;
    ~Region() { End(); }

   private:
    friend class ImageGuard;
    void End();
    std::shared_ptr<ImageGuard> guard_;
    uint8_t* data_ = nullptr;
  };
  // `data`, at a multiple of the page size, maps `bytes` of the file from `offset` on.
  static Region Add(const std::shared_ptr<ImageGuard>& guard, uint8_t* data, size_t bytes, size_t offset);

  // Takes the lease. `file` is open to be read alone, nobody may have it open to be written; false: none is to be had.
  bool Watch(int file);
  // Maps the regions, which may be writable, anew from `file`, to be read alone. kResourceExhausted: they are as
  // before.
  absl::Status MapReadOnly(int file) ABSL_LOCKS_EXCLUDED(mutex_);
  // Copies all regions into memory of their own. kResourceExhausted: some are as before.
  absl::Status Copy() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Mapped {
    size_t bytes;
    size_t offset;
  };
  void WatchLease() ABSL_LOCKS_EXCLUDED(mutex_);

  const Notice notice_;
  int file_ = -1;  // with the lease
  absl::Mutex mutex_;
  std::map<uint8_t*, Mapped> regions_ ABSL_GUARDED_BY(mutex_);
  std::mutex stop_mutex_;  // the library's wait by a steady clock; absl's is the machine's
  std::condition_variable stopping_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_IMAGE_GUARD_H_
