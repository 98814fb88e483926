// What a token costs: whole decode steps in the shapes of Llama 3.1 8B and Qwen2.5 0.5B, in Q8_0, as one graph, beside
// what memory needs to read the weights and the rows that are seen. The first layer is held against the scalar kernels.
//
// `decode_token 8B` or `decode_token 0.5B`.
#include <cmath>

#include "common/kernels/cpu/scalar.h"
#include "tests/gpu/decode_token.cuh"
#include "tests/gpu/host_reference.h"
#include "tests/gpu/mma_rate.cuh"

namespace kedge::probe {
namespace {

constexpr int kSeen = 512, kMostRows = 256;
std::string part;

Q8Matrix HostMatrix(const Matrix& matrix) { return MadeMatrix(matrix.id, matrix.outputs, matrix.inputs); }

// The hidden state of some rows behind the first layer, before its last product is added, and that product.
class FirstLayer {
 public:
  explicit FirstLayer(const DecodeStep& step)
      : step_(step),
        shape_(step.shape()),
        qkv_(HostMatrix(step.layer(0).qkv)),
        out_(HostMatrix(step.layer(0).out)),
        gate_up_(HostMatrix(step.layer(0).gate_up)),
        down_(HostMatrix(step.layer(0).down)) {}

  // [hidden] of a row behind the layer, and the norm's 8 bits of it.
  std::vector<float> Hidden(int row) const {
    const int size = shape_.hidden;
    std::vector<float> hidden = MadeFloats(kHiddenPlace + size_t(row) * size, size);
    std::vector<float> qkv = Multiply(qkv_, Q8Rows(Normed(hidden), size), 0, 1);
    if (shape_.has_biases) {
      const std::vector<float> bias = MadeFloats(kBiasPlace, qkv.size());
      scalar::Add(bias.data(), static_cast<int>(bias.size()), qkv.data());
    }
    const std::vector<float> attended = Attended(qkv, row);
    std::vector<float> update = Multiply(out_, Q8Rows(attended, static_cast<int>(attended.size())), 0, 1);
    scalar::Add(update.data(), size, hidden.data());
    std::vector<float> both = Multiply(gate_up_, Q8Rows(Normed(hidden), size), 0, 1);
    scalar::SwiGlu(&both[shape_.ffn], shape_.ffn, both.data());
    both.resize(shape_.ffn);
    update = Multiply(down_, Q8Rows(both, shape_.ffn), 0, 1);
    scalar::Add(update.data(), size, hidden.data());
    return hidden;
  }
  std::vector<float> Normed(const std::vector<float>& hidden) const {
    const std::vector<float> weight = MadeFloats(kNormPlace, hidden.size());
    std::vector<float> out(hidden.size());
    scalar::RmsNorm(hidden.data(), weight.data(), kEpsilon, static_cast<int>(hidden.size()), out.data());
    return out;
  }

 private:
  std::vector<float> Attended(std::vector<float>& qkv, int row) const {
    const int dim = shape_.head_dim, rows = kPageRows, shared = shape_.heads / shape_.kv_heads;
    const RopeTables tables({static_cast<uint32_t>(kSeen + 17 * row)}, dim / 2, shape_.rope_base);
    for (int head = 0; head < shape_.heads + shape_.kv_heads; ++head) {
      scalar::Rope(tables.cos.data(), tables.sin.data(), dim, &qkv[head * dim]);
    }
    std::vector<float> out;
    for (int kv_head = 0; kv_head < shape_.kv_heads; ++kv_head) {
      const size_t pages = step_.pages(), part = size_t(rows) * dim;
      std::vector<uint16_t> memory(pages * 2 * part);
      for (size_t page = 0; page < pages; ++page) {
        const uint64_t from = step_.PageOf(row, page) * step_.page_halves() + kv_head * 2 * part;
        for (size_t i = 0; i < 2 * part; ++i) memory[page * 2 * part + i] = MadeHalf(kPagePlace + from + i);
      }
      uint16_t* last = &memory[(pages - 1) * 2 * part + size_t(rows - 1) * dim];
      scalar::ToKv(KvType::kF16, &qkv[(shape_.heads + kv_head) * dim], dim, last);
      scalar::ToKv(KvType::kF16, &qkv[(shape_.heads + shape_.kv_heads + kv_head) * dim], dim, last + part);
      std::vector<ReferencePage> shown;
      for (size_t page = 0; page < pages; ++page) {
        shown.push_back({&memory[page * 2 * part], &memory[page * 2 * part + part], 0, rows});
      }
      for (int head = kv_head * shared; head < (kv_head + 1) * shared; ++head) {
        const std::vector<float> values = Attend(&qkv[head * dim], dim, shown);
        out.insert(out.end(), values.begin(), values.end());
      }
    }
    return out;
  }

  const DecodeStep& step_;
  const ModelShape shape_;
  const Q8Matrix qkv_, out_, gate_up_, down_;
};

void CheckFirstLayer(DecodeStep& step, const FirstLayer& reference, const StepOptions& options) {
  Stream stream;
  step.Queue(stream, options, 1, false);
  PROBE_LAUNCHED();
  const std::vector<float> hidden = step.hidden().Download();
  size_t differ = 0, compared = 0;
  for (const int row : {0, options.rows - 1}) {
    const std::vector<float> want = reference.Hidden(row);
    for (size_t i = 0; i < want.size(); ++i, ++compared) {
      differ += std::memcmp(&want[i], &hidden[size_t(row) * want.size() + i], sizeof(float)) != 0;
    }
    if (options.rows == 1) break;
  }
  Report(part.c_str(), "first layer, batch " + std::to_string(options.rows) + (options.wide_tiles ? "" : ", mma.sync"),
         static_cast<double>(differ), "differ", "of " + std::to_string(compared) + ", against the scalar kernels");
}

double MillisecondsOf(DecodeStep& step, const StepOptions& options) {
  return 1e3 * MedianSecondsInGraph(1, [&](cudaStream_t stream, int) { step.Queue(stream, options); });
}

void Measure(DecodeStep& step, StepOptions options, double copy_rate) {
  const int rows = options.rows;
  const double floor = 1e3 * step.Bytes(rows) / copy_rate;
  const auto tell = [&](const std::string& what, const StepOptions& as) {
    const double milliseconds = MillisecondsOf(step, as);
    Report(part.c_str(), "batch " + std::to_string(rows) + ", " + what, milliseconds, "ms",
           Percent(floor / milliseconds) + " of the copy rate, " +
               std::to_string(static_cast<int>(rows / milliseconds * 1e3)) + " tokens/s");
    return milliseconds;
  };
  tell("a token", options);
  StepOptions some = options;
  some.with_attention = some.with_norms = false;
  tell("products alone", some);
  some = options;
  some.with_products = some.with_norms = false;
  tell("attention alone", some);
  some = options;
  some.with_attention = false;
  tell("without attention", some);
  some = options;
  some.with_norms = false;
  tell("without norms and gates", some);
  overlap_kernels = false;
  tell("kernels one after another", options);
  overlap_kernels = true;
  if (rows > kMostStreamed) {
    some = options;
    some.wide_tiles = false;
    tell("by mma.sync", some);
  } else {
    for (const int kib : {48, 72, 140, 200}) {
      some = options;
      some.ring_bytes = kib << 10;
      tell("rings of " + std::to_string(kib) + " KiB", some);
    }
  }
  // The same step twice: the same logits, and the same tokens.
  Stream stream;
  step.Queue(stream, options);
  PROBE_LAUNCHED();
  const std::vector<unsigned long long> first = step.best().Download();
  overlap_kernels = false;
  step.Queue(stream, options);
  PROBE_LAUNCHED();
  overlap_kernels = true;
  const std::vector<unsigned long long> second = step.best().Download();
  Report(part.c_str(), "batch " + std::to_string(rows) + ", best logits, overlapping or not",
         static_cast<double>(std::memcmp(first.data(), second.data(), rows * sizeof(first[0])) != 0), "differ",
         "token of the first row " + std::to_string(~static_cast<uint32_t>(first[0])));
}

void Run(const ModelShape& shape) {
  part = std::string("token-") + shape.name;
  const double copy_rate = CopyRate();
  Report(part.c_str(), "device copy, read and written", copy_rate / 1e9, "GB/s");
  DecodeStep step(shape, kMostRows, kSeen, Multiprocessors());
  for (const int rows : {1, 32, 256}) {
    StepOptions options;
    options.rows = rows;
    Measure(step, options, copy_rate);
  }
  const FirstLayer reference(step);
  for (const int rows : {1, 32, 256}) {
    StepOptions options;
    options.rows = rows;
    CheckFirstLayer(step, reference, options);
    if (rows <= kMostStreamed) continue;
    options.wide_tiles = false;
    CheckFirstLayer(step, reference, options);
  }
}

}  // namespace
}  // namespace kedge::probe

int main(int argc, char** argv) {
  using namespace kedge::probe;
  Run(argc > 1 && std::string(argv[1]) == "0.5B" ? kQwen05B : kLlama8B);
}
