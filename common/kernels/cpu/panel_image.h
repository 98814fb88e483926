// Packed weights that all processes of a machine share.
#ifndef KEDGE_COMMON_KERNELS_CPU_PANEL_IMAGE_H_
#define KEDGE_COMMON_KERNELS_CPU_PANEL_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "common/kernels/lazy_memory.h"

namespace kedge {

// A file with the panels of a model's matrices in the order in which they are loaded. The first process packs them into
// it, the others wait meanwhile and then map it: weights are packed once and held once, in the page cache. Whatever
// fails (no directory, a full disk, a damaged file), there is memory of the process's own instead. Owned by one thread.
class PanelImage {
 public:
  // Changes with the layout of panels (panels.h) or of this file; part of the file's name (CpuOptions).
  static constexpr int kLayout = 1;

  // Says why there will be no file, once.
  using Notice = std::function<void(const std::string& why)>;

  // `path` names the model's content and the layout. "": no file, memory of our own.
  explicit PanelImage(std::string path, Notice notice = {});
  ~PanelImage();
  PanelImage(const PanelImage&) = delete;
  PanelImage& operator=(const PanelImage&) = delete;

  // Memory of the next matrix; `packed`: its panels are there, and it is read-only. Otherwise zeroed, to be written
  // before Finish.
  struct Part {
    LazyMemory memory;
    bool packed = false;
  };
  Part Next(size_t bytes);

  // All matrices are there: a new file gets its name.
  void Finish();

 private:
  bool Open();
  bool Begin();
  void Release();
  void GiveUp(int error);

  std::string path_;
  const Notice notice_;
  std::string new_path_;  // of a file under way
  int file_ = -1;
  int lock_ = -1;
  bool complete_ = false;  // the file was there
  size_t offset_ = 0;      // of the next matrix; a multiple of the page size
};

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_CPU_PANEL_IMAGE_H_
