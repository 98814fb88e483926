// Fuzzes the readers of model files: GgufFile::Parse and, where that succeeds, LoadConfig.
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "common/model/config.h"
#include "common/model/gguf.h"
#include "common/testing/fuzz_driver.h"
#include "common/testing/gguf_writer.h"
#include "common/testing/tiny_model.h"

namespace kedge {
namespace {

void CheckParsed(const GgufFile& file) {
  const uint8_t* const end = file.bytes().data() + file.bytes().size();
  for (const GgufTensor& tensor : file.tensors()) {
    KEDGE_CHECK(file.FindTensor(tensor.name) == &tensor);
    KEDGE_CHECK(IsSupported(tensor.type) == !tensor.data.empty());
    if (tensor.data.empty()) continue;
    KEDGE_CHECK(tensor.data.data() >= file.bytes().data() && tensor.data.data() <= end);
    KEDGE_CHECK(tensor.data.size() <= static_cast<size_t>(end - tensor.data.data()));
    uint64_t values = 1;
    for (uint64_t size : tensor.shape) values *= size;
    KEDGE_CHECK(values / BlockSize(tensor.type) * BlockBytes(tensor.type) == tensor.data.size());
  }
  const absl::StatusOr<ModelConfig> config = LoadConfig(file);
  if (!config.ok()) {
    KEDGE_CHECK(absl::IsInvalidArgument(config.status()));
    return;
  }
  KEDGE_CHECK(config->num_layers > 0 && config->hidden_size > 0 && config->ffn_size > 0 && config->context_length > 0);
  KEDGE_CHECK(config->num_kv_heads > 0 && config->num_heads % config->num_kv_heads == 0);
  KEDGE_CHECK(config->head_dim >= 8 && config->head_dim % 2 == 0);
  KEDGE_CHECK(config->rope.dim > 0 && config->rope.dim % 2 == 0 && config->rope.dim <= config->head_dim);
  KEDGE_CHECK(MakeRopeTable(config->rope, {}).inverse_frequencies.size() * 2 == static_cast<size_t>(config->rope.dim));
  KEDGE_CHECK(file.FindTensor("token_embd.weight")->shape[1] == static_cast<uint64_t>(config->vocab_size));
}

// Every kind of value and two tensors, one of a type that is not supported.
std::string AllKinds() {
  GgufWriter writer(2, 64);
  writer.SetUint8("u8", 1);
  writer.SetInt8("i8", -1);
  writer.SetUint16("u16", 1);
  writer.SetInt16("i16", -1);
  writer.SetUint32("u32", 1);
  writer.SetInt32("i32", -1);
  writer.SetUint64("u64", 1);
  writer.SetInt64("i64", -1);
  writer.SetFloat32("f32", 1);
  writer.SetFloat64("f64", 1);
  writer.SetBool("bool", true);
  writer.SetString("string", "text");
  writer.SetInt32s("i32s", {1, 2, 3});
  writer.SetFloat32s("f32s", {1, 2, 3});
  writer.SetBools("bools", {true, false});
  writer.SetStrings("strings", {"a", "", "c"});
  writer.AddTensor("a", TensorType::kQ8_0, {32, 2}, std::string(68, 'x'));
  writer.AddTensor("b", static_cast<TensorType>(12), {256}, std::string(144, 'x'));
  return writer.Finish();
}

}  // namespace
}  // namespace kedge

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = kedge::GgufFile::Parse(absl::MakeConstSpan(data, size), "fuzz.gguf");
  if (file.ok()) {
    kedge::CheckParsed(**file);
  } else {
    KEDGE_CHECK(absl::IsInvalidArgument(file.status()));
  }
  return 0;
}

std::vector<std::string> FuzzSeeds() {
  kedge::TinyModelOptions smallest;
  smallest.layers = 1;
  smallest.hidden = smallest.ffn = smallest.head_dim = 8;
  smallest.heads = smallest.kv_heads = 1;
  kedge::TinyModelOptions quantised;
  quantised.layers = 1;
  quantised.hidden = quantised.ffn = 32;
  quantised.heads = 2;
  quantised.kv_heads = 1;
  quantised.weight_type = kedge::TensorType::kQ4_1;
  quantised.embedding_type = kedge::TensorType::kQ8_0;
  quantised.tied = false;
  quantised.rope_factors = true;
  kedge::TinyModelOptions stretched = smallest;
  stretched.architecture = "qwen3";
  stretched.rope_scaling = "yarn";
  return {kedge::AllKinds(), kedge::MakeTinyModel(smallest), kedge::MakeTinyModel(quantised),
          kedge::MakeTinyModel(stretched)};
}
