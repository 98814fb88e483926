// Blocks are random bits, with scales of our own among them: what is drawn costs what memory costs.
//
// Tested by random_model_test.cc.
#include "tests/gpu/check/random_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/thread_pool.h"
#include "common/testing/gguf_writer.h"

namespace kedge {
namespace {

// How a type's random block becomes numbers of mean 0.
struct BlockScales {
  float deviation;  // of its values, with a scale of 1
  float minimum;    // the second scale, as a multiple of the first; 0: there is none
};

BlockScales ScalesOf(TensorType type) {
  switch (type) {
    case TensorType::kQ8_0: return {73.9f, 0};
    case TensorType::kQ5_0: return {9.23f, 0};
    case TensorType::kQ4_K: return {257, 7.5f};  // quants of 0 to 15, times scales and minima of 0 to 63
    default: KEDGE_CHECK(false);
  }
}

// A tensor of the file: blocks of weights, or floats.
struct Part {
  uint64_t begin = 0;
  TensorType type = TensorType::kF32;
  uint64_t count = 0;   // of blocks, or of floats
  float first = 0;      // scale of a block, or the floats' mean
  float spread = 0;     // the second scale, or how far floats are from their mean
  bool is_float() const { return type == TensorType::kF32; }
  size_t item_bytes() const { return is_float() ? sizeof(float) : BlockBytes(type); }
};

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t operator()() {  // splitmix64
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }

 private:
  uint64_t state_;
};

void FillBlocks(const Part& part, uint64_t count, Random* random, uint8_t* out) {
  const size_t bytes = count * part.item_bytes();
  size_t at = 0;
  for (; at + 8 <= bytes; at += 8) {
    const uint64_t bits = (*random)();
    std::memcpy(out + at, &bits, 8);
  }
  const uint64_t bits = (*random)();
  std::memcpy(out + at, &bits, bytes - at);
  const uint16_t scales[] = {FloatToHalf(part.first), FloatToHalf(part.spread)};
  const size_t scale_bytes = part.spread != 0 ? 4 : 2;
  for (uint64_t i = 0; i < count; ++i) std::memcpy(out + i * part.item_bytes(), scales, scale_bytes);
}

void FillFloats(const Part& part, uint64_t count, Random* random, uint8_t* out) {
  for (uint64_t i = 0; i < count; ++i) {
    const float value = part.first + part.spread * (static_cast<float>((*random)() >> 40) * 0x1p-23f - 1);
    std::memcpy(out + i * sizeof(float), &value, sizeof(float));
  }
}

// The file's header, and what is to be filled behind it.
class Plan {
 public:
  Plan(const ModelShape& shape, TensorType type) : shape_(shape), type_(type) {
    SetConfiguration();
    AddTensors();
  }

  std::string Header() const { return writer_.Header(); }
  const std::vector<Part>& parts() const { return parts_; }
  uint64_t bytes() const { return end_; }

 private:
  void SetConfiguration() {
    const std::string& a = shape_.architecture;
    writer_.SetString("general.architecture", a);
    writer_.SetString("general.name", "random");
    writer_.SetUint32(a + ".block_count", shape_.layers);
    writer_.SetUint32(a + ".context_length", 131072);
    writer_.SetUint32(a + ".embedding_length", shape_.hidden);
    writer_.SetUint32(a + ".feed_forward_length", shape_.ffn);
    writer_.SetUint32(a + ".attention.head_count", shape_.heads);
    writer_.SetUint32(a + ".attention.head_count_kv", shape_.kv_heads);
    writer_.SetUint32(a + ".attention.key_length", shape_.head_dim);
    writer_.SetUint32(a + ".attention.value_length", shape_.head_dim);
    writer_.SetFloat32(a + ".attention.layer_norm_rms_epsilon", 1e-5f);
    writer_.SetFloat32(a + ".rope.freq_base", shape_.rope_base);
    writer_.SetUint32(a + ".rope.dimension_count", shape_.head_dim);
  }

  void AddTensors() {
    const int query = shape_.heads * shape_.head_dim, kv = shape_.kv_heads * shape_.head_dim;
    const float root_hidden = std::sqrt(static_cast<float>(shape_.hidden));
    Matrix("token_embd.weight", shape_.vocab, shape_.hidden, root_hidden);
    for (int layer = 0; layer < shape_.layers; ++layer) {
      const std::string prefix = absl::StrCat("blk.", layer, ".");
      Vector(prefix + "attn_norm.weight", shape_.hidden, 1, 0);
      Matrix(prefix + "attn_q.weight", query, shape_.hidden, 1);
      Matrix(prefix + "attn_k.weight", kv, shape_.hidden, 1);
      Matrix(prefix + "attn_v.weight", kv, shape_.hidden, 1);
      if (shape_.architecture == "qwen2") {
        Vector(prefix + "attn_q.bias", query, 0, 1);
        Vector(prefix + "attn_k.bias", kv, 0, 1);
        Vector(prefix + "attn_v.bias", kv, 0, 1);
      }
      Matrix(prefix + "attn_output.weight", shape_.hidden, query, 1);
      Vector(prefix + "ffn_norm.weight", shape_.hidden, 1, 0);
      Matrix(prefix + "ffn_gate.weight", shape_.ffn, shape_.hidden, 1);
      Matrix(prefix + "ffn_up.weight", shape_.ffn, shape_.hidden, 1);
      Matrix(prefix + "ffn_down.weight", shape_.hidden, shape_.ffn, 1);
    }
    Vector("output_norm.weight", shape_.hidden, 0, 4 / root_hidden);  // of both signs: see tiny_model.cc
    if (!shape_.tied) Matrix("output.weight", shape_.vocab, shape_.hidden, root_hidden);
  }

  // An input of deviation 1 makes outputs of deviation `gain`.
  void Matrix(const std::string& name, int rows, int columns, float gain) {
    const TensorType type = columns % BlockSize(type_) == 0 ? type_ : TensorType::kQ5_0;
    KEDGE_CHECK(columns % BlockSize(type) == 0);
    const BlockScales scales = ScalesOf(type);
    const float scale = gain / std::sqrt(static_cast<float>(columns)) / scales.deviation;
    Add(name, {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)},
        {.type = type,
         .count = static_cast<uint64_t>(rows) * columns / BlockSize(type),
         .first = scale,
         .spread = scale * scales.minimum});
  }
  void Vector(const std::string& name, int size, float mean, float spread) {
    Add(name, {static_cast<uint64_t>(size)},
        {.type = TensorType::kF32, .count = static_cast<uint64_t>(size), .first = mean, .spread = spread});
  }
  void Add(const std::string& name, const std::vector<uint64_t>& shape, Part part) {
    const uint64_t bytes = part.count * part.item_bytes();
    part.begin = writer_.AddTensorPlace(name, part.type, shape, bytes);
    end_ = part.begin + bytes;
    parts_.push_back(part);
  }

  const ModelShape& shape_;
  const TensorType type_;
  GgufWriter writer_;
  std::vector<Part> parts_;
  uint64_t end_ = 0;
};

}  // namespace

absl::StatusOr<ModelShape> ShapeNamed(absl::string_view name) {
  if (name == "8B") return ModelShape{"llama", 32, 4096, 32, 8, 128, 14336, 128256, 500000, false};
  if (name == "0.5B") return ModelShape{"qwen2", 24, 896, 14, 2, 64, 4864, 151936, 1000000, true};
  return absl::InvalidArgumentError(absl::StrCat("--shape: \"", name, "\" is none of 8B, 0.5B"));
}

absl::StatusOr<RandomModel> RandomModel::Make(const ModelShape& shape, TensorType type, int threads) {
  const Plan plan(shape, type);
  const std::string header = plan.Header();
  RandomModel model;
  model.bytes_ = std::make_unique_for_overwrite<uint8_t[]>(header.size() + plan.bytes());
  std::copy(header.begin(), header.end(), model.bytes_.get());
  uint8_t* const data = model.bytes_.get() + header.size();

  constexpr uint64_t kPiece = 1 << 16;  // blocks or floats
  std::vector<std::pair<const Part*, uint64_t>> pieces;
  for (const Part& part : plan.parts()) {
    for (uint64_t first = 0; first < part.count; first += kPiece) pieces.emplace_back(&part, first);
  }
  ThreadPool pool(threads);
  pool.Run(static_cast<int>(pieces.size()), [&](int, int item) {
    const auto [part, first] = pieces[item];
    Random random(item);
    uint8_t* const out = data + part->begin + first * part->item_bytes();
    (part->is_float() ? FillFloats : FillBlocks)(*part, std::min(kPiece, part->count - first), &random, out);
  });
  KEDGE_ASSIGN_OR_RETURN(
      model.file_, GgufFile::Parse(absl::MakeConstSpan(model.bytes_.get(), header.size() + plan.bytes()), "random"));
  return model;
}

}  // namespace kedge
