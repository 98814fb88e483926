// XXH3-64 with seed 0 and its own secret, of texts above 240 bytes: the algorithm of Yann Collet's xxhash.h (0.8.1;
// github.com/Cyan4973/xxHash, doc/xxhash_spec.md), as a device can compute it. Tested by checksum_test.cc.
//
// Eight accumulators of 64 bits take stripes of 64 bytes; what a stripe adds depends on nothing but the stripe and its
// number in its block of 16, so warps add up blocks in any order. Behind each block the accumulators are scrambled:
// that is a chain through the frame, which another warp of the same block of threads walks down meanwhile.
#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/launch.h"
#include "common/kernels/cuda/launchers.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {
namespace {

constexpr uint64_t kPrime32_1 = 0x9e3779b1, kPrime32_2 = 0x85ebca77, kPrime32_3 = 0xc2b2ae3d;
constexpr uint64_t kPrime64_1 = 0x9e3779b185ebca87, kPrime64_2 = 0xc2b2ae3d27d4eb4f, kPrime64_3 = 0x165667b19e3779f9;
constexpr uint64_t kPrime64_4 = 0x85ebca77c2b2ae63, kPrime64_5 = 0x27d4eb2f165667c5;
__device__ constexpr uint64_t kFirst[] = {kPrime32_3, kPrime64_1, kPrime64_2, kPrime64_3,
                                          kPrime64_4, kPrime32_2, kPrime64_5, kPrime32_1};
__device__ constexpr uint64_t kSecret[] = {
    0xbe4ba423396cfeb8, 0x1cad21f72c81017c, 0xdb979083e96dd4de, 0x1f67b3b7a4a44072, 0x78e5c0cc4ee679cb,
    0x2172ffcc7dd05a82, 0x8e2443f7744608b8, 0x4c263a81e69035e0, 0xcb00c391bb52283c, 0xa32e531b8b65d088,
    0x4ef90da297486471, 0xd8acdea946ef1938, 0x3f349ce33f76faa8, 0x1d4f0bc7c7bbdcf9, 0x3159b4cd4be0518a,
    0x647378d9c97e9fc8, 0xc3ebd33483acc5ea, 0xeb6313faffa081c5, 0x49daf0b751dd0d17, 0x9e68d429265516d3,
    0xfca1477d58be162b, 0xce31d07ad1b8f88f, 0x280416958f3acb45, 0x7e404bbbcafbd7af};
constexpr int kScrambleWord = 16, kLastStripeByte = 121, kMergeByte = 11;  // of the secret

constexpr int kStripes = 16, kStripeBytes = 64, kBlockBytes = kStripes * kStripeBytes;
constexpr int kPieces = kBlockBytes / 16;

constexpr int kSumWarps = 8, kTile = 64;  // blocks whose sums are made while those before are in the chain
struct Memory {
  uint64_t sums[2][kTile][8];
};

__device__ uint64_t SecretFrom(int byte) {  // no multiple of 8
  const int word = byte / 8, shift = byte % 8 * 8;
  return kSecret[word] >> shift | kSecret[word + 1] << (64 - shift);
}
__device__ uint64_t Product(uint64_t key) { return (key & 0xffffffff) * (key >> 32); }

// Prefix and data.
struct Text {
  const uint4* prefix;
  const uint8_t* data;
  uint64_t data_bytes;
};
__device__ uint4 Piece(const Text& text, uint64_t index) {  // of 16 bytes
  constexpr int kInPrefix = kFramePrefixBytes / 16;
  return index < kInPrefix ? text.prefix[index] : reinterpret_cast<const uint4*>(text.data)[index - kInPrefix];
}

// What stripes add to accumulators 2 p and 2 p + 1.
struct Pair {
  uint64_t even = 0, odd = 0;
};
__device__ void AddPiece(uint4 piece, int stripe, int p, Pair& sum) {
  const uint64_t even = uint64_t{piece.y} << 32 | piece.x, odd = uint64_t{piece.w} << 32 | piece.z;
  sum.even += odd + Product(even ^ kSecret[stripe + 2 * p]);
  sum.odd += even + Product(odd ^ kSecret[stripe + 2 * p + 1]);
}
// Of a block of which each lane has two pieces: all stripes' for p = lane % 4.
__device__ Pair JoinStripes(Pair sum) {
  for (int m = 4; m < 32; m *= 2) {
    sum.even += __shfl_xor_sync(~0u, sum.even, m);
    sum.odd += __shfl_xor_sync(~0u, sum.odd, m);
  }
  return sum;
}

// The block's numbers from `first` on, by one warp.
__device__ void SumBlocks(const Text& text, uint64_t first, int count, uint64_t (*sums)[8]) {
  constexpr int kAtOnce = 4;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, p = lane % 4;
  for (int begin = warp * kAtOnce; begin < count; begin += kSumWarps * kAtOnce) {
    uint4 pieces[kAtOnce][2];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      if (begin + k >= count) break;
      pieces[k][0] = Piece(text, (first + begin + k) * kPieces + lane);
      pieces[k][1] = Piece(text, (first + begin + k) * kPieces + 32 + lane);
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      if (begin + k >= count) break;
      Pair sum;
      AddPiece(pieces[k][0], lane / 4, p, sum);
      AddPiece(pieces[k][1], lane / 4 + 8, p, sum);
      sum = JoinStripes(sum);
      if (lane >= 4) continue;
      sums[begin + k][2 * p] = sum.even;
      sums[begin + k][2 * p + 1] = sum.odd;
    }
  }
}

__device__ uint64_t Scramble(uint64_t accumulator, uint64_t key) {
  return (accumulator ^ accumulator >> 47 ^ key) * kPrime32_1;
}

// What comes behind the whole blocks, and the sum. Lanes of a warp; `accumulator`: number lane % 8.
__device__ uint64_t Finish(const Text& text, uint64_t blocks, uint64_t accumulator) {
  const uint64_t bytes = kFramePrefixBytes + text.data_bytes;
  const int lane = threadIdx.x % 32, i = lane % 8;
  const int stripes = static_cast<int>((bytes - 1 - blocks * kBlockBytes) / kStripeBytes);
  Pair sum;
  for (int stripe = lane / 4; stripe < stripes; stripe += 8) {
    AddPiece(Piece(text, blocks * kPieces + stripe * 4 + lane % 4), stripe, lane % 4, sum);
  }
  sum = JoinStripes(sum);
  const uint64_t even = __shfl_sync(~0u, sum.even, i / 2), odd = __shfl_sync(~0u, sum.odd, i / 2);
  accumulator += i % 2 == 0 ? even : odd;
  // The last 64 bytes once more, wherever they begin.
  uint64_t word = 0;
  for (int b = 7; b >= 0; --b) word = word << 8 | text.data[text.data_bytes - kStripeBytes + 8 * i + b];
  accumulator += Product(word ^ SecretFrom(kLastStripeByte + 8 * i)) + __shfl_xor_sync(~0u, word, 1);

  const uint64_t mine = accumulator ^ SecretFrom(kMergeByte + 8 * i), other = __shfl_xor_sync(~0u, mine, 1);
  uint64_t hash = (mine * other) ^ __umul64hi(mine, other);
  hash += __shfl_xor_sync(~0u, hash, 2);
  hash += __shfl_xor_sync(~0u, hash, 4);
  hash += bytes * kPrime64_1;
  hash = (hash ^ hash >> 37) * 0x165667919e3779f9;
  return hash ^ hash >> 32;
}

// A block of threads a frame; the last warp walks down the chain.
__global__ void __launch_bounds__(32 * (kSumWarps + 1)) SumFrames(const SummedFrame* frames, uint64_t* sums) {
  Memory& memory = *reinterpret_cast<Memory*>(SharedMemory());
  const SummedFrame& frame = frames[blockIdx.x];
  const Text text = {reinterpret_cast<const uint4*>(frame.prefix), frame.data, frame.bytes};
  if (text.data_bytes < kLeastSummedBytes) return;
  const uint64_t blocks = (kFramePrefixBytes + text.data_bytes - 1) / kBlockBytes;
  const bool is_chain = threadIdx.x / 32 == kSumWarps;
  const int i = threadIdx.x % 8;
  const uint64_t key = kSecret[kScrambleWord + i];
  uint64_t accumulator = kFirst[i];
  const auto count = [&](uint64_t first) { return static_cast<int>(min(uint64_t{kTile}, blocks - first)); };
  for (uint64_t first = 0; first < blocks + kTile; first += kTile) {
    if (!is_chain && first < blocks) {
      SumBlocks(text, first, count(first), memory.sums[first / kTile % 2]);
    } else if (is_chain && first > 0 && first - kTile < blocks) {
      const uint64_t(*tile)[8] = memory.sums[(first / kTile + 1) % 2];
      const int size = count(first - kTile);
#pragma unroll 8
      for (int b = 0; b < size; ++b) accumulator = Scramble(accumulator + tile[b][i], key);
    }
    __syncthreads();
  }
  if (!is_chain) return;
  const uint64_t sum = Finish(text, blocks, accumulator);
  if (threadIdx.x % 32 == 0) sums[blockIdx.x] = sum;
}

}  // namespace

absl::Status Checksum(Stream& stream, const SummedFrame* frames, int count, uint64_t* sums) {
  if (count == 0) return absl::OkStatus();
  return Launch(
      stream, {.grid = {static_cast<unsigned>(count)}, .block = {32 * (kSumWarps + 1)}, .shared_bytes = sizeof(Memory)},
      SumFrames, frames, sums);
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET
