// One decode step of a made model as a backend would queue it: every kernel of every layer, up to the chosen tokens.
#ifndef KEDGE_TESTS_GPU_DECODE_TOKEN_CUH_
#define KEDGE_TESTS_GPU_DECODE_TOKEN_CUH_

#include <memory>
#include <vector>

#include "tests/gpu/choose_token.cuh"
#include "tests/gpu/fused_rows.cuh"
#include "tests/gpu/host_reference.h"
#include "tests/gpu/made_model.cuh"
#include "tests/gpu/paged_attention.cuh"
#include "tests/gpu/probe.h"
#include "tests/gpu/stream_products.cuh"
#include "tests/gpu/tile_products.cuh"

namespace kedge::probe {

inline constexpr float kEpsilon = 1e-5f;
inline constexpr int kMostStreamed = 64;  // rows

// How the step is queued; what is left out is for finding out what it costs.
struct StepOptions {
  int rows = 1;
  int ring_bytes = 100 << 10;
  bool wide_tiles = true;  // by wgmma
  bool with_norms = true, with_attention = true, with_products = true;
};

struct Layer {
  Layer(const ModelShape& shape, uint32_t id)
      : qkv(4 * id, shape.qkv_outputs(), shape.hidden),
        out(4 * id + 1, shape.hidden, shape.heads * shape.head_dim),
        gate_up(4 * id + 2, 2 * shape.ffn, shape.hidden),
        down(4 * id + 3, shape.hidden, shape.ffn) {}
  Matrix qkv, out, gate_up, down;
};

// Places of floats and halves that are no weights (MadeFloat): rows of hidden state, norms, biases, pages.
inline constexpr uint64_t kHiddenPlace = uint64_t{1} << 60, kNormPlace = uint64_t{2} << 60,
                          kBiasPlace = uint64_t{3} << 60, kPagePlace = uint64_t{4} << 60;

__global__ void Begin(const float* start, float* hidden, int size, unsigned long long* best) {
  StartNext();
  WaitForPrevious();
  const size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x;
  if (i < size) hidden[size_t(blockIdx.y) * size + i] = start[size_t(blockIdx.y) * size + i];
  if (i == 0) best[blockIdx.y] = 0;
}

inline std::vector<float> MadeFloats(uint64_t place, size_t size) {
  std::vector<float> values(size);
  for (size_t i = 0; i < size; ++i) values[i] = MadeFloat(place + i);
  return values;
}

class DecodeStep {
 public:
  // Memory for up to `most_rows` requests with `seen` rows each.
  DecodeStep(const ModelShape& shape, int most_rows, int seen, int multiprocessors)
      : shape_(shape),
        multiprocessors_(multiprocessors),
        pages_(seen / kRows),
        page_halves_(size_t(2) * shape.kv_heads * kRows * shape.head_dim),
        output_(4 * shape.layers, shape.vocab, shape.hidden),
        start_(MadeFloats(kHiddenPlace, size_t(most_rows) * shape.hidden)),
        norm_(MadeFloats(kNormPlace, shape.hidden)),
        bias_(MadeFloats(kBiasPlace, shape.qkv_outputs())),
        hidden_(size_t(most_rows) * shape.hidden),
        qkv_(size_t(most_rows) * shape.qkv_outputs()),
        update_(hidden_.size()),
        both_(size_t(most_rows) * 2 * shape.ffn),
        logits_(size_t(most_rows) * shape.vocab),
        scores_(size_t(most_rows) * shape.heads * seen),
        normed_(RowBytes((most_rows + 127) / 128 * 128, shape.hidden)),
        attended_(RowBytes((most_rows + 127) / 128 * 128, shape.heads * shape.head_dim)),
        gated_(RowBytes((most_rows + 127) / 128 * 128, shape.ffn)),
        best_(most_rows) {
    for (int layer = 0; layer < shape.layers; ++layer) {
      layers_.push_back(std::make_unique<Layer>(shape, layer));
      memory_.push_back(std::make_unique<Buffer<uint16_t>>(most_rows * pages_ * page_halves_));
      LaunchNext(nullptr, MakeHalves, dim3(2048), 256, 0, kPagePlace, memory_.back()->size(), memory_.back()->data());
      PROBE_LAUNCHED();
    }
    std::vector<uint32_t> table(most_rows * pages_), positions(most_rows);
    for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<uint32_t>(PageOf(i / pages_, i % pages_));
    for (int r = 0; r < most_rows; ++r) positions[r] = seen + 17 * r;
    const RopeTables tables(positions, shape.head_dim / 2, shape.rope_base);
    table_ = std::make_unique<Buffer<uint32_t>>(table);
    ends_ = std::make_unique<Buffer<int>>(std::vector<int>(most_rows, kRows));
    cos_ = std::make_unique<Buffer<float>>(tables.cos);
    sin_ = std::make_unique<Buffer<float>>(tables.sin);
    PROBE_CUDA(cudaDeviceSynchronize());
  }

  // All layers, or the first `layers` without the output matrix.
  void Queue(cudaStream_t stream, const StepOptions& options) { Queue(stream, options, shape_.layers, true); }
  void Queue(cudaStream_t stream, const StepOptions& options, int layers, bool with_output) {
    const int rows = options.rows;
    LaunchNext(stream, Begin, dim3((shape_.hidden + 255) / 256, rows), 256, 0, start_.data(), hidden_.data(),
               shape_.hidden, best_.data());
    for (int layer = 0; layer < layers; ++layer) {
      const Layer& w = *layers_[layer];
      Norm(stream, options, layer > 0);
      Multiply(stream, options, w.qkv, normed_, qkv_);
      if (options.with_attention) {
        shape_.head_dim == 128 ? Attend<128, 4>(stream, rows, layer) : Attend<64, 7>(stream, rows, layer);
      }
      Multiply(stream, options, w.out, attended_, update_);
      Norm(stream, options, true);
      Multiply(stream, options, w.gate_up, normed_, both_);
      if (options.with_norms) {
        LaunchNext(stream, GateUp, dim3((shape_.ffn / 4 + 127) / 128, rows), 128, 0, both_.data(), shape_.ffn,
                   gated_.data());
      }
      Multiply(stream, options, w.down, gated_, update_);
    }
    Norm(stream, options, true);
    if (!with_output) return;
    Multiply(stream, options, output_, normed_, logits_);
    LaunchNext(stream, ArgMax, dim3(rows >= 32 ? 8 : 64, rows), 256, 0, logits_.data(), shape_.vocab, best_.data());
  }

  // Which page of the memory is page `index` of a request.
  size_t PageOf(size_t request, size_t index) const { return request * pages_ + (index * 7 + request) % pages_; }
  size_t pages() const { return pages_; }
  size_t page_halves() const { return page_halves_; }
  const ModelShape& shape() const { return shape_; }
  const Layer& layer(int i) const { return *layers_[i]; }
  const Buffer<float>& hidden() const { return hidden_; }
  const Buffer<float>& logits() const { return logits_; }
  const Buffer<unsigned long long>& best() const { return best_; }
  const Buffer<uint8_t>& normed() const { return normed_; }

  // What a step must read at least: weights, and the rows that are seen.
  double Bytes(int rows) const {
    double bytes = static_cast<double>(output_.chunks.size());
    for (const auto& layer : layers_) {
      bytes += layer->qkv.chunks.size() + layer->out.chunks.size() + layer->gate_up.chunks.size() +
               layer->down.chunks.size();
    }
    return bytes + static_cast<double>(rows) * pages_ * page_halves_ * 2 * shape_.layers;
  }

 private:
  void Norm(cudaStream_t stream, const StepOptions& options, bool with_update) {
    if (!options.with_norms) return;
    LaunchNext(stream, AddNorm, dim3(options.rows), shape_.hidden / 4, (shape_.hidden + 1) * sizeof(float),
               with_update ? update_.data() : nullptr, norm_.data(), kEpsilon, shape_.hidden, hidden_.data(),
               normed_.data());
  }

  void Multiply(cudaStream_t stream, const StepOptions& options, const Matrix& w, const Buffer<uint8_t>& x,
                Buffer<float>& out) {
    if (!options.with_products) return;
    if (options.rows <= kMostStreamed) {
      const StreamPlan plan =
          PlanStream<Q8Weights>(w.outputs, w.inputs, options.rows, multiprocessors_, options.ring_bytes);
      LaunchNext(stream, plan.tiles == 1 ? MultiplyStream<Q8Weights, 1> : MultiplyStream<Q8Weights, 2>,
                 dim3(multiprocessors_), plan.threads, plan.shared_bytes, w.chunks.data(), x.data(), plan.shape,
                 out.data());
    } else {
      LaunchNext(stream, options.wide_tiles ? MultiplyWide : MultiplyTiles<Q8Weights>,
                 dim3((options.rows + 127) / 128, w.outputs / (kTileGroups * kGroup)), kTileThreads,
                 kTileMemory<Q8Weights>, w.chunks.data(), x.data(), w.outputs / kGroup, w.inputs / kChunkInputs,
                 options.rows, out.data());
    }
  }

  template <int head_dim, int shared>
  void Attend(cudaStream_t stream, int rows, int layer) {
    const AttentionView view = {shape_.kv_heads,
                                static_cast<int>(pages_),
                                table_->data(),
                                ends_->data(),
                                reinterpret_cast<__half*>(memory_[layer]->data()),
                                scores_.data()};
    const int per_block = rows * shape_.kv_heads >= 4 * multiprocessors_ ? 16 : kScoreWarps;
    const dim3 grid((static_cast<int>(pages_) + per_block - 1) / per_block, shape_.kv_heads, rows);
    LaunchNext(stream, RotateAndScore<head_dim, shared>, grid, 32 * kScoreWarps, sizeof(ScoreMemory<head_dim, shared>),
               qkv_.data(), shape_.has_biases ? bias_.data() : nullptr, cos_->data(), sin_->data(), view, per_block);
    if (rows * shape_.kv_heads >= multiprocessors_ && head_dim == 128) {
      constexpr int kColumns = head_dim, kPerThread = shared % 2 == 0 ? 2 : 1;
      LaunchNext(stream, WeighValues<head_dim, shared, kColumns, kPerThread>, dim3(1, shape_.kv_heads, rows),
                 kColumns / 2 * shared / kPerThread, sizeof(ValueMemory<head_dim, shared, kColumns>), view,
                 attended_.data());
    } else {
      LaunchNext(stream, WeighValues<head_dim, shared, 64, 1>, dim3(head_dim / 64, shape_.kv_heads, rows), 32 * shared,
                 sizeof(ValueMemory<head_dim, shared, 64>), view, attended_.data());
    }
  }

  const ModelShape shape_;
  const int multiprocessors_;
  const size_t pages_;        // of a request
  const size_t page_halves_;  // of a layer
  Matrix output_;
  Buffer<float> start_, norm_, bias_, hidden_, qkv_, update_, both_, logits_, scores_;
  Buffer<uint8_t> normed_, attended_, gated_;
  Buffer<unsigned long long> best_;
  std::vector<std::unique_ptr<Layer>> layers_;
  std::vector<std::unique_ptr<Buffer<uint16_t>>> memory_;  // pages of each layer
  std::unique_ptr<Buffer<uint32_t>> table_;
  std::unique_ptr<Buffer<int>> ends_;
  std::unique_ptr<Buffer<float>> cos_, sin_;
};

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_DECODE_TOKEN_CUH_
