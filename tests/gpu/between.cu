// What stands between products: how long norms, gates, attention and the choice of a token take, alone in a graph.
// What is timed is checked against the scalar kernels.
#include "common/kernels/cpu/scalar.h"
#include "tests/gpu/choose_token.cuh"
#include "tests/gpu/fused_rows.cuh"
#include "tests/gpu/host_reference.h"
#include "tests/gpu/made_model.cuh"
#include "tests/gpu/paged_attention.cuh"
#include "tests/gpu/probe.h"

namespace kedge::probe {
namespace {

constexpr const char* kPart = "between";

// Microseconds of a call in a graph, with kernels that overlap, and without.
template <typename Launch>
void Tell(const std::string& what, const std::string& note, Launch launch) {
  double microseconds[2];
  for (const bool overlap : {false, true}) {
    overlap_kernels = overlap;
    microseconds[overlap] = 1e6 * MedianSecondsInGraph(100, launch);
  }
  Report(kPart, what, microseconds[0], "us",
         "overlapping " + std::to_string(microseconds[1]).substr(0, 5) + " us" + (note.empty() ? "" : "; " + note));
}

template <typename T>
std::string SameBits(const std::vector<T>& want, const std::vector<T>& got) {
  const bool same = std::memcmp(want.data(), got.data(), want.size() * sizeof(T)) == 0;
  return same ? "same bits" : "OTHER BITS";
}

__global__ void Nothing() {
  StartNext();
  WaitForPrevious();
}

void Rows(Random& random, int rows, int size, int ffn) {
  const std::vector<float> hidden = RandomFloats(random, size_t(rows) * size, 1),
                           update = RandomFloats(random, hidden.size(), 1), weight = RandomFloats(random, size, 1);
  std::vector<float> sum = hidden, normed(hidden.size());
  scalar::Add(update.data(), static_cast<int>(sum.size()), sum.data());
  for (int r = 0; r < rows; ++r) {
    scalar::RmsNorm(&sum[size_t(r) * size], weight.data(), 1e-5f, size, &normed[size_t(r) * size]);
  }
  Buffer<float> device_hidden(hidden);
  const Buffer<float> device_update(update), device_weight(weight);
  Buffer<uint8_t> out(RowBytes(rows, size));
  const auto norm = [&](cudaStream_t stream, int) {
    LaunchNext(stream, AddNorm, dim3(rows), size / 4, (size + 1) * sizeof(float), device_update.data(),
               device_weight.data(), 1e-5f, size, device_hidden.data(), out.data());
  };
  norm(Stream(), 0);
  PROBE_LAUNCHED();
  const std::string same = SameBits(Q8Rows(normed, size).Chunks(), out.Download());
  Tell("add, norm, to 8 bits, " + std::to_string(size) + ", rows " + std::to_string(rows), same, norm);

  const std::vector<float> both = RandomFloats(random, size_t(rows) * 2 * ffn, 2);
  std::vector<float> gated;
  for (int r = 0; r < rows; ++r) {
    gated.insert(gated.end(), &both[size_t(r) * 2 * ffn], &both[size_t(r) * 2 * ffn] + ffn);
    scalar::SwiGlu(&both[(size_t(r) * 2 + 1) * ffn], ffn, &gated[size_t(r) * ffn]);
  }
  const Buffer<float> device_both(both);
  Buffer<uint8_t> gated_out(RowBytes(rows, ffn));
  const auto gate = [&](cudaStream_t stream, int) {
    LaunchNext(stream, GateUp, dim3((ffn / 4 + 127) / 128, rows), 128, 0, device_both.data(), ffn, gated_out.data());
  };
  gate(Stream(), 0);
  PROBE_LAUNCHED();
  Tell("gate, to 8 bits, " + std::to_string(ffn) + ", rows " + std::to_string(rows),
       SameBits(Q8Rows(gated, ffn).Chunks(), gated_out.Download()), gate);
}

// One layer: requests that see `seen` rows each. Memory that is not cached: calls go through several layers' pages.
template <int head_dim, int shared, int kv_heads>
class AttentionOf {
 public:
  AttentionOf(Random& random, int requests, int seen)
      : requests_(requests),
        pages_(seen / kRows),
        copies_(static_cast<int>(std::max<size_t>(1, (size_t{1} << 29) / (requests * pages_ * kPageHalves * 2)))),
        queries_(RandomFloats(random, size_t(requests) * kWidth, 1)),
        tables_(std::vector<uint32_t>(requests, seen - 1), head_dim / 2, 500000),
        memory_(requests * pages_ * kPageHalves * copies_),
        scores_(size_t(requests) * kHeads * seen),
        out_(RowBytes(requests, kHeads * head_dim)),
        qkv_(queries_),
        cos_(tables_.cos),
        sin_(tables_.sin),
        table_(Table()),
        ends_(std::vector<int>(requests, kRows)) {
    for (int copy = 0; copy < copies_; ++copy) {
      LaunchNext(nullptr, MakeHalves, dim3(2048), 256, 0, 0, memory_.size() / copies_,
                 memory_.data() + copy * (memory_.size() / copies_));
    }
    PROBE_LAUNCHED();
    PROBE_CUDA(cudaDeviceSynchronize());
  }

  template <int columns, int per_thread>
  void Measure(int pages_per_block, double copy_rate) {
    const auto score = [&](cudaStream_t stream, int i) {
      LaunchNext(stream, RotateAndScore<head_dim, shared>,
                 dim3((pages_ + pages_per_block - 1) / pages_per_block, kv_heads, requests_), 32 * kScoreWarps,
                 sizeof(ScoreMemory<head_dim, shared>), qkv_.data(), nullptr, cos_.data(), sin_.data(), View(i),
                 pages_per_block);
    };
    const auto weigh = [&](cudaStream_t stream, int i) {
      LaunchNext(stream, WeighValues<head_dim, shared, columns, per_thread>,
                 dim3(head_dim / columns, kv_heads, requests_), columns / 2 * shared / per_thread,
                 sizeof(ValueMemory<head_dim, shared, columns>), View(i), out_.data());
    };
    const auto both = [&](cudaStream_t stream, int i) {
      score(stream, i);
      weigh(stream, i);
    };
    both(Stream(), 0);
    PROBE_LAUNCHED();
    const std::string same = Check();
    const double bytes = static_cast<double>(requests_) * pages_ * kPageHalves * 2;
    const std::string what = "attention, " + std::to_string(pages_ * kRows) + " rows of " + std::to_string(kv_heads) +
                             " x " + std::to_string(head_dim) + ", batch " + std::to_string(requests_) + ", " +
                             std::to_string(pages_per_block) + " pages, " + std::to_string(columns) + " columns";
    const std::string least = "at least " + std::to_string(bytes / copy_rate * 1e6).substr(0, 5) + " us; ";
    Tell(what, least + same, both);
    Tell(what + ": scores", "", score);
    Tell(what + ": values", "", weigh);
  }

 private:
  static constexpr int kHeads = shared * kv_heads, kWidth = (kHeads + 2 * kv_heads) * head_dim;
  static constexpr size_t kPageHalves = kv_heads * HeadHalves<head_dim>();

  std::vector<uint32_t> Table() const {
    std::vector<uint32_t> table(requests_ * pages_);
    for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<uint32_t>(table.size() - 1 - i);
    return table;
  }
  AttentionView View(int i) {
    __half* memory = reinterpret_cast<__half*>(memory_.data() + i % copies_ * (memory_.size() / copies_));
    return {kv_heads, pages_, table_.data(), ends_.data(), memory, scores_.data()};
  }

  // Of the last request.
  std::string Check() {
    const int request = requests_ - 1;
    std::vector<float> qkv(&queries_[size_t(request) * kWidth], &queries_[size_t(request) * kWidth] + kWidth), want;
    for (int head = 0; head < kHeads + kv_heads; ++head) {
      scalar::Rope(tables_.cos.data(), tables_.sin.data(), head_dim, &qkv[head * head_dim]);
    }
    for (int kv_head = 0; kv_head < kv_heads; ++kv_head) {
      const size_t part = size_t(kRows) * head_dim;
      std::vector<uint16_t> memory(pages_ * 2 * part);
      std::vector<ReferencePage> shown;
      for (int page = 0; page < pages_; ++page) {
        const uint64_t from =
            uint64_t(requests_ * pages_ - 1 - (request * pages_ + page)) * kPageHalves + kv_head * 2 * part;
        uint16_t* to = &memory[page * 2 * part];
        for (size_t i = 0; i < 2 * part; ++i) to[i] = MadeHalf(from + i);
        shown.push_back({to, to + part, 0, kRows});
      }
      uint16_t* last = &memory[(pages_ - 1) * 2 * part + size_t(kRows - 1) * head_dim];
      scalar::ToKv(KvType::kF16, &qkv[(kHeads + kv_head) * head_dim], head_dim, last);
      scalar::ToKv(KvType::kF16, &qkv[(kHeads + kv_heads + kv_head) * head_dim], head_dim, last + part);
      for (int head = kv_head * shared; head < (kv_head + 1) * shared; ++head) {
        const std::vector<float> values = Attend(&qkv[head * head_dim], head_dim, shown);
        want.insert(want.end(), values.begin(), values.end());
      }
    }
    // Its bytes, at its place among 16 rows.
    const std::vector<uint8_t> got = out_.Download();
    std::vector<float> rows(size_t(request % kGroup + 1) * want.size(), 0.0f);
    std::copy(want.begin(), want.end(), rows.end() - want.size());
    const std::vector<uint8_t> expected = Q8Rows(rows, static_cast<int>(want.size())).Chunks();
    const int row = request % kGroup;
    bool same = true;
    for (size_t chunk = 0; chunk < want.size() / kChunkInputs; ++chunk) {
      const uint8_t* a = &expected[chunk * kRowChunkBytes];
      const uint8_t* b = &got[(request / kGroup * (want.size() / kChunkInputs) + chunk) * kRowChunkBytes];
      const int half = row / 8 * kRowHalf;
      for (int k = 0; k < kChunkInputs; k += 16) {
        same = same && std::memcmp(a + half + CoreByte(row % 8, k), b + half + CoreByte(row % 8, k), 16) == 0;
      }
      for (int block = 0; block < kChunkBlocks; ++block) {
        const int at = half + kRowScales + (block * 8 + row % 8) * 4;
        same = same && std::memcmp(a + at, b + at, 4) == 0;
      }
    }
    return same ? "same bits" : "OTHER BITS";
  }

  const int requests_, pages_, copies_;
  const std::vector<float> queries_;
  const RopeTables tables_;
  Buffer<uint16_t> memory_;
  Buffer<float> scores_;
  Buffer<uint8_t> out_;
  const Buffer<float> qkv_, cos_, sin_;
  const Buffer<uint32_t> table_;
  const Buffer<int> ends_;
};

void Choice(Random& random, int rows) {
  const int vocab = 128256;
  std::vector<float> logits = RandomFloats(random, size_t(rows) * vocab, 3);
  const Buffer<float> device(logits);
  Buffer<unsigned long long> best(std::vector<unsigned long long>(rows, 0));
  const auto choose = [&](cudaStream_t stream, int) {
    LaunchNext(stream, ArgMax, dim3(rows >= 32 ? 8 : 64, rows), 256, 0, device.data(), vocab, best.data());
  };
  choose(Stream(), 0);
  PROBE_LAUNCHED();
  const std::vector<unsigned long long> got = best.Download();
  bool same = true;
  for (int r = 0; r < rows; ++r) {
    const auto begin = logits.begin() + size_t(r) * vocab;
    same =
        same && static_cast<uint32_t>(std::max_element(begin, begin + vocab) - begin) == ~static_cast<uint32_t>(got[r]);
  }
  Tell("the largest of 128256 logits, rows " + std::to_string(rows), same ? "right" : "WRONG", choose);
}

}  // namespace
}  // namespace kedge::probe

int main() {
  using namespace kedge::probe;
  Random random(20261129);
  const double copy_rate = CopyRate();
  for (const int blocks : {1, 132, 2048}) {
    Tell("nothing, blocks " + std::to_string(blocks), "256 threads",
         [&](cudaStream_t stream, int) { LaunchNext(stream, Nothing, dim3(blocks), 256, 0); });
  }
  for (const int rows : {1, 32, 256}) Rows(random, rows, 4096, 14336);
  Rows(random, 1, 896, 4864);
  {
    AttentionOf<128, 4, 8> one(random, 1, 512);
    one.Measure<64, 1>(4, copy_rate);
    one.Measure<128, 2>(4, copy_rate);
  }
  {
    AttentionOf<128, 4, 8> few(random, 32, 512);
    few.Measure<64, 1>(4, copy_rate);
    few.Measure<128, 2>(16, copy_rate);
  }
  {
    AttentionOf<128, 4, 8> many(random, 256, 512);
    many.Measure<128, 2>(16, copy_rate);
    many.Measure<128, 2>(8, copy_rate);
    many.Measure<128, 1>(16, copy_rate);
  }
  AttentionOf<128, 4, 8>(random, 1, 2048).Measure<64, 1>(4, copy_rate);
  AttentionOf<128, 4, 8>(random, 1, 4096).Measure<64, 1>(4, copy_rate);
  AttentionOf<128, 4, 8>(random, 32, 4096).Measure<128, 2>(16, copy_rate);
  AttentionOf<64, 7, 2>(random, 1, 512).Measure<64, 1>(4, copy_rate);
  AttentionOf<64, 7, 2>(random, 256, 512).Measure<64, 1>(16, copy_rate);
  Choice(random, 1);
  Choice(random, 256);
}
