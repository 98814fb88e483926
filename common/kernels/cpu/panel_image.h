// Packed weights that all processes of a machine share.
#ifndef KEDGE_COMMON_KERNELS_CPU_PANEL_IMAGE_H_
#define KEDGE_COMMON_KERNELS_CPU_PANEL_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/kernels/cpu/image_guard.h"
#include "common/kernels/lazy_memory.h"

namespace kedge {

// A file with the panels of a model's matrices in the order in which they are loaded. The first process packs them into
// it, the others wait meanwhile, for a while, and then map it: weights are packed once and held once, in the page
// cache. Whatever fails (no directory, a full disk, a damaged file, a lock that somebody keeps), there is memory of the
// process's own instead; and what is mapped stays as it is when the file changes (ImageGuard). Directory and file are
// the user's alone: what others may write is not taken. Owned by one thread.
class PanelImage {
 public:
  // Changes with the layout of panels (panels.h) or of this file; part of the file's name (CpuOptions).
  static constexpr int kLayout = 1;

  static constexpr absl::Duration kLockWait = absl::Seconds(10);

  // Says why there will be no file, or that it is not shared any more; from a thread of ImageGuard's, too.
  using Notice = std::function<void(const std::string& why)>;

  // `path` names the model's content and the layout. "": no file, memory of our own. `lock_wait`: how long another
  // process may take that writes it.
  explicit PanelImage(std::string path, Notice notice = {}, absl::Duration lock_wait = kLockWait);
  ~PanelImage();
  PanelImage(const PanelImage&) = delete;
  PanelImage& operator=(const PanelImage&) = delete;

  // Memory of the next matrix; `packed`: its panels are there, and it is read-only. Otherwise zeroed, to be written
  // before Finish.
  struct Part {
    LazyMemory memory;
    bool packed = false;
    ImageGuard::Region guarded;  // keep it as long as `memory`
  };
  Part Next(size_t bytes);

  // All matrices are there: a new file gets its name.
  void Finish();

 private:
  bool Open();
  bool Lock(absl::Duration wait);
  bool Begin();
  bool Seal();
  void Release();
  void GiveUp(const std::string& why);

  std::string path_;
  const Notice notice_;
  std::string new_path_;  // of a file under way
  int file_ = -1;
  int lock_ = -1;
  bool complete_ = false;  // the file was there
  bool watched_ = false;   // by `guard_`
  std::shared_ptr<ImageGuard> guard_;
  size_t offset_ = 0;      // of the next matrix; a multiple of the page size
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_PANEL_IMAGE_H_
