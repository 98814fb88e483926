// Tested by model_files_test.cc.
#include "common/model/model_files.h"

#include "common/base/status.h"
#include "common/base/thread_pool.h"
#include "common/model/config.h"

namespace kedge {

absl::StatusOr<ModelFiles> ModelFiles::Open(const std::string& path, const std::string& adapter_path) {
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<const GgufFile> base, GgufFile::Open(path));
  if (adapter_path.empty()) return ModelFiles(std::move(base));
  KEDGE_RETURN_IF_ERROR(LoadConfig(*base).status());  // first: a mistake in the base is no fault of the adapter
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<const GgufFile> file, GgufFile::Open(adapter_path));
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<const LoraAdapter> adapter, LoraAdapter::Create(std::move(file)));
  KEDGE_RETURN_IF_ERROR(adapter->CheckFits(*base));
  return ModelFiles(std::move(base), std::move(adapter));
}

absl::StatusOr<std::string> ModelFingerprint(const ModelFiles& files, const Notice& notice) {
  KEDGE_ASSIGN_OR_RETURN(const std::string base, ModelFingerprint(*files.base, notice));
  if (files.adapter == nullptr) return base;
  KEDGE_ASSIGN_OR_RETURN(const std::string adapter, ModelFingerprint(files.adapter->file(), notice));
  return CombinedFingerprint(base, adapter);
}

absl::StatusOr<Weights> Weights::Merge(const ModelFiles& files, int threads) {
  Weights weights(files.base);
  if (files.adapter == nullptr) return weights;
  ThreadPool pool(threads);
  for (const auto& [name, pair] : files.adapter->pairs()) {
    const GgufTensor& base = *files.base->FindTensor(name);
    KEDGE_ASSIGN_OR_RETURN(std::vector<uint8_t> bytes, files.adapter->Merge(base, pool));
    Merged& merged = weights.merged_[name];
    merged.bytes = std::move(bytes);
    merged.tensor = {name, LoraAdapter::MergedType(base), base.shape, merged.bytes};
  }
  return weights;
}

const GgufTensor* Weights::FindTensor(absl::string_view name) const {
  const auto found = merged_.find(name);
  return found != merged_.end() ? &found->second.tensor : base_->FindTensor(name);
}

}  // namespace kedge
