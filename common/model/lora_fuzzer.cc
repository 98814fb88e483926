// Fuzzes adapters: what LoraAdapter::Create and CheckFits accept of a damaged file must merge into a small base, or be
// refused.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "common/base/thread_pool.h"
#include "common/model/gguf.h"
#include "common/model/lora.h"
#include "common/testing/fuzz_driver.h"
#include "common/testing/tiny_model.h"

namespace kedge {
namespace {

TinyModelOptions BaseOptions() {
  return {.layers = 1, .hidden = 32, .heads = 1, .kv_heads = 1, .head_dim = 32, .ffn = 32,
          .weight_type = TensorType::kQ4_1};
}

absl::Span<const uint8_t> AsBytes(const std::string& bytes) {
  return absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

void MergeAll(const LoraAdapter& adapter, const GgufFile& base) {
  ThreadPool pool(1);
  for (const auto& [name, pair] : adapter.pairs()) {
    const GgufTensor& tensor = *base.FindTensor(name);
    const auto merged = adapter.Merge(tensor, pool);
    KEDGE_CHECK(merged.ok() || absl::IsInvalidArgument(merged.status()));
    if (!merged.ok()) continue;
    const TensorType type = LoraAdapter::MergedType(tensor);
    KEDGE_CHECK(merged->size() == tensor.shape[0] * tensor.shape[1] / BlockSize(type) * BlockBytes(type));
  }
}

}  // namespace
}  // namespace kedge

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string bytes = kedge::MakeTinyModel(kedge::BaseOptions());
  static const auto base = kedge::GgufFile::Parse(kedge::AsBytes(bytes), "base.gguf").value();
  auto file = kedge::GgufFile::Parse(absl::MakeConstSpan(data, size), "fuzz.gguf");
  if (!file.ok()) return 0;
  const auto adapter = kedge::LoraAdapter::Create(*std::move(file));
  if (!adapter.ok()) {
    KEDGE_CHECK(absl::IsInvalidArgument(adapter.status()));
    return 0;
  }
  const absl::Status fits = (*adapter)->CheckFits(*base);
  if (fits.ok()) {
    kedge::MergeAll(**adapter, *base);
  } else {
    KEDGE_CHECK(absl::IsFailedPrecondition(fits) || absl::IsInvalidArgument(fits));
  }
  return 0;
}

std::vector<std::string> FuzzSeeds() {
  using kedge::TensorType;
  return {kedge::MakeTinyAdapter(kedge::BaseOptions(), {.rank = 1}),
          kedge::MakeTinyAdapter(kedge::BaseOptions(), {.rank = 2, .alpha = 0, .type = TensorType::kF16}),
          kedge::MakeTinyAdapter(kedge::BaseOptions(), {.rank = 32, .type = TensorType::kQ8_0, .policy = "window"})};
}
