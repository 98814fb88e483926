// The files that make a model: a base, and perhaps a LoRA adapter for it.
#ifndef KEDGE_COMMON_MODEL_MODEL_FILES_H_
#define KEDGE_COMMON_MODEL_MODEL_FILES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/model/config.h"
#include "common/model/gguf.h"
#include "common/model/lora.h"

namespace kedge {

// Opened and checked against each other; nothing is merged yet. Metadata and vocabulary are the base's.
struct ModelFiles {
  // A base alone is a model.
  ModelFiles(std::shared_ptr<const GgufFile> base, std::shared_ptr<const LoraAdapter> adapter = nullptr)
      : base(std::move(base)), adapter(std::move(adapter)) {}

  // `adapter_path` empty: none. Errors as of GgufFile::Open and, with an adapter, of LoadConfig, LoraAdapter::Create
  // and CheckFits; all name their file.
  static absl::StatusOr<ModelFiles> Open(const std::string& path, const std::string& adapter_path);

  // The policy that the adapter was trained for; "" if there is no adapter or it does not say.
  std::string adapter_policy() const { return adapter == nullptr ? "" : adapter->policy(); }

  std::shared_ptr<const GgufFile> base;
  std::shared_ptr<const LoraAdapter> adapter;  // null: none
};

// The base's fingerprint; with an adapter SHA-256 over the base's fingerprint and the SHA-256 of the adapter's file, as
// 128 hex digits.
absl::StatusOr<std::string> ModelFingerprint(const ModelFiles& files, const Notice& notice = nullptr);

// The tensors that a device loads: the base's, some of them replaced by merged ones. Only those are copies. Immutable;
// movable, and its tensors' bytes stay where they are.
class Weights {
 public:
  // A file's own tensors.
  Weights(std::shared_ptr<const GgufFile> file) : base_(std::move(file)) {}

  // Merges what the adapter changes, with `threads` threads. kInvalidArgument: see LoraAdapter::Merge.
  // REQUIRES: LoadConfig accepts the base.
  static absl::StatusOr<Weights> Merge(const ModelFiles& files, int threads);

  const GgufFile& base() const { return *base_; }
  // nullptr when there is none.
  const GgufTensor* FindTensor(absl::string_view name) const;

 private:
  struct Merged {
    std::vector<uint8_t> bytes;
    GgufTensor tensor;  // a view of `bytes`
  };

  std::shared_ptr<const GgufFile> base_;
  std::map<std::string, Merged, std::less<>> merged_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_MODEL_MODEL_FILES_H_
