// How fast products of class cpu-1 can be, by the number of rows: as a stream of weights, and as tiles on tensor cores.
// What is timed is checked: rows of the result against the scalar kernels.
#include "tests/gpu/host_reference.h"
#include "tests/gpu/made_model.cuh"
#include "tests/gpu/mma_rate.cuh"
#include "tests/gpu/probe.h"
#include "tests/gpu/stream_products.cuh"
#include "tests/gpu/tile_products.cuh"

namespace kedge::probe {
namespace {

constexpr const char* kPart = "products";
constexpr size_t kBeyondCaches = size_t{1} << 30;
constexpr int kRingBytes = 100 << 10;

double copy_rate = 0, mma_rate = 0;

std::string SameBits(const std::vector<float>& want, const std::vector<float>& got, size_t first) {
  const bool same = std::memcmp(want.data(), &got[first], want.size() * sizeof(float)) == 0;
  return same ? "same bits" : "OTHER BITS";
}

// Seconds of a call, of many that go through `copies` of the weights.
template <typename Launch>
double Seconds(int copies, Launch launch, bool overlap) {
  overlap_kernels = overlap;
  const double seconds =
      MedianSecondsInGraph(std::max(copies, 20), [&](cudaStream_t stream, int i) { launch(stream, i % copies); });
  overlap_kernels = true;
  return seconds;
}

template <typename Weights, typename HostMatrix>
void StreamRows(const HostMatrix& host, const Buffer<uint8_t>& chunks, const char* name, int rows, bool checks) {
  Random random(rows);
  const Q8Rows x(random, rows, host.inputs);
  const Buffer<uint8_t> x_chunks(x.Chunks());
  const size_t bytes = size_t(host.outputs) / kGroup * (host.inputs / kChunkInputs) * Weights::kBytes;
  const int copies = static_cast<int>(chunks.size() / bytes);
  Buffer<float> out(size_t(rows) * host.outputs);
  const StreamPlan plan = PlanStream<Weights>(host.outputs, host.inputs, rows, Multiprocessors(), kRingBytes);
  const auto launch = [&](cudaStream_t stream, int copy) {
    LaunchNext(stream, plan.tiles == 1 ? MultiplyStream<Weights, 1> : MultiplyStream<Weights, 2>,
               dim3(Multiprocessors()), plan.threads, plan.shared_bytes, chunks.data() + copy * bytes, x_chunks.data(),
               plan.shape, out.data());
  };
  const double alone = Seconds(copies, launch, false), in_turn = Seconds(copies, launch, true);
  std::string note = Percent(bytes / in_turn / copy_rate) + " of the copy rate; not overlapping " +
                     std::to_string(alone * 1e6).substr(0, 5) + " us, " + Percent(bytes / alone / copy_rate);
  if (checks) {
    out.Poison();
    launch(Stream(), 0);
    PROBE_LAUNCHED();
    note += "; " + SameBits(Multiply(host, x, 0, rows), out.Download(), 0);
  }
  Report(kPart,
         "stream, " + std::string(name) + " " + std::to_string(host.inputs) + " to " + std::to_string(host.outputs) +
             ", rows " + std::to_string(rows),
         in_turn * 1e6, "us", note);
}

void FewRows(int outputs, int inputs, const std::vector<int>& rows) {
  Buffer<uint8_t> all(std::max<size_t>(kBeyondCaches / (size_t(outputs) * inputs / 32 * 34), 1) *
                      (size_t(outputs) * inputs / 32 * 34));
  for (size_t at = 0; at < all.size(); at += size_t(outputs) * inputs / 32 * 34) {
    LaunchNext(nullptr, MakeWeights, dim3(2048), 256, 0, 1, outputs, inputs, all.data() + at);
  }
  PROBE_LAUNCHED();
  const bool checks = size_t(outputs) * inputs <= size_t{1} << 26;
  const Q8Matrix host = checks ? MadeMatrix(1, outputs, inputs) : Q8Matrix(outputs, inputs);
  for (const int count : rows) StreamRows<Q8Weights>(host, all, "Q8_0", count, checks);
}

template <typename Weights, typename HostMatrix>
void ManyRows(const HostMatrix& host, const char* name, int rows) {
  Random random(rows);
  const Q8Rows x(random, rows, host.inputs);
  std::vector<uint8_t> x_host = x.Chunks();
  x_host.resize(RowBytes((rows + 127) / 128 * 128, host.inputs));
  const Buffer<uint8_t> x_chunks(x_host), chunks(host.Chunks());
  Buffer<float> out(size_t(rows) * host.outputs);
  const auto tell = [&](const char* how, auto kernel) {
    const auto launch = [&](cudaStream_t stream, int) {
      LaunchNext(stream, kernel, dim3((rows + 127) / 128, host.outputs / 64), kTileThreads, kTileMemory<Weights>,
                 chunks.data(), x_chunks.data(), host.outputs / kGroup, host.inputs / kChunkInputs, rows, out.data());
    };
    const double seconds = Seconds(1, launch, true);
    out.Poison();
    launch(Stream(), 0);
    PROBE_LAUNCHED();
    const double rate = 2.0 * rows * host.outputs * host.inputs / seconds;
    const int checked = 4;
    Report(kPart,
           std::string(how) + ", " + name + " " + std::to_string(host.inputs) + " to " + std::to_string(host.outputs) +
               ", rows " + std::to_string(rows),
           rate / 1e12, "T/s",
           Percent(rate / mma_rate) + " of int8 mma.sync, " + std::to_string(seconds * 1e6).substr(0, 6) + " us; " +
               SameBits(Multiply(host, x, rows / 2, checked), out.Download(), size_t(rows) / 2 * host.outputs));
  };
  tell("tiles by mma.sync", MultiplyTiles<Weights>);
  if constexpr (!Weights::kHasMinimum) tell("tiles by wgmma", MultiplyWide);
}

}  // namespace
}  // namespace kedge::probe

int main() {
  using namespace kedge::probe;
  copy_rate = CopyRate();
  mma_rate = MmaRate<false>();
  Report(kPart, "device copy, read and written", copy_rate / 1e9, "GB/s");
  FewRows(4096, 4096, {1, 2, 8, 16, 32, 64});
  FewRows(4096, 14336, {1, 8, 32});
  Random random(20261128);
  const Q8Matrix square = MadeMatrix(1, 4096, 4096);
  for (const int rows : {64, 128, 256, 4096}) ManyRows<Q8Weights>(square, "Q8_0", rows);
  FewRows(6144, 4096, {1, 8, 32});
  FewRows(28672, 4096, {1, 8, 32, 64});
  FewRows(128256, 4096, {1, 32});
  FewRows(896, 896, {1});
  FewRows(896, 4864, {1});
  FewRows(9728, 896, {1});
  const Q4Matrix nibbles(random, 4096, 4096);
  const std::vector<uint8_t> chunks = nibbles.Chunks();
  Buffer<uint8_t> all(kBeyondCaches / chunks.size() * chunks.size());
  for (size_t at = 0; at < all.size(); at += chunks.size()) {
    PROBE_CUDA(cudaMemcpy(all.data() + at, chunks.data(), chunks.size(), cudaMemcpyHostToDevice));
  }
  for (const int rows : {1, 8, 32}) StreamRows<Q4Weights>(nibbles, all, "Q4_K", rows, true);
  for (const int rows : {256, 4096}) ManyRows<Q4Weights>(nibbles, "Q4_K", rows);
  const Q8Matrix tall = MadeMatrix(1, 28672, 4096);
  ManyRows<Q8Weights>(tall, "Q8_0", 256);
}
