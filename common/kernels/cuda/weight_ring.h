// Weights that stream through rings in shared memory, far ahead of their use: the copies begin before the kernel in
// front of this one has ended, so memory is busy while rows are normalised or attended to.
//
// A ring belongs to one or more warps of a block of threads, its parts, which see the same weights: group after group
// of outputs, each by all its chunks, a stage of one or two chunks at a time. The first part's warp fills the ring.
#ifndef KEDGE_COMMON_KERNELS_CUDA_WEIGHT_RING_H_
#define KEDGE_COMMON_KERNELS_CUDA_WEIGHT_RING_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "common/kernels/cuda/device.h"
#include "common/kernels/cuda/segments.h"

namespace kedge::cuda::KEDGE_CUDA_TARGET {

struct RingShape {
  int chunks = 0;        // of a group
  int rings = 0;         // of a block of threads; blockDim.x is 32 * rings * parts
  int parts = 0;         // warps at a ring
  int stage_chunks = 0;  // chunks of a stage: divides `chunks`
  int stages = 0;        // of a ring
};

template <int kBytes>  // of a chunk
class WeightRing {
 public:
  // All threads of the block; all of them then call the other functions, in turn, until their groups are through.
  __device__ WeightRing(const Segments& segments, const RingShape& shape)
      : segments_(segments),
        shape_(shape),
        ring_(threadIdx.x / 32 / shape.parts),
        stage_bytes_(shape.stage_chunks * kBytes),
        stages_at_(ring_ * shape.stages * stage_bytes_),
        barriers_at_(shape.rings * shape.stages * stage_bytes_ + 2 * ring_ * shape.stages * int{sizeof(Barrier)}),
        fills_(part() == 0),
        group_(blockIdx.x + gridDim.x * ring_),
        step_(gridDim.x * shape.rings),
        fill_group_(group_) {
    StartNext();
    if (fills_ && threadIdx.x % 32 == 0) {
      for (int i = 0; i < shape.stages; ++i) {
        InitBarrier(full(i), kCopyArrivals);
        InitBarrier(free(i), shape.parts);
      }
      PublishBarriers();
    }
    __syncthreads();
    if (fills_) {
      for (int i = 0; i < shape.stages && fill_group_ < segments.total; ++i) Fill(i);
    }
    WaitForPrevious();
  }

  // The warp's number at its ring.
  __device__ int part() const { return threadIdx.x / 32 % shape_.parts; }
  // The ring's groups.
  __device__ bool HasGroup() const { return group_ < segments_.total; }
  __device__ int group() const { return group_; }
  __device__ void NextGroup() { group_ += step_; }

  // The next stage_chunks chunks, until Release.
  __device__ const uint8_t* Take() {
    WaitForBarrier(full(stage_), parity_);
    return stage(stage_);
  }
  __device__ void Release() {
    __syncwarp();
    if (threadIdx.x % 32 == 0) Arrive(free(stage_));
    if (fills_ && fill_group_ < segments_.total) {
      WaitForBarrier(free(stage_), parity_);
      Fill(stage_);
    }
    if (++stage_ == shape_.stages) stage_ = 0, parity_ ^= 1;
  }

 private:
  // Offsets take half the registers of addresses.
  __device__ uint8_t* stage(int i) const { return SharedMemory() + stages_at_ + i * stage_bytes_; }
  __device__ Barrier* full(int i) const { return reinterpret_cast<Barrier*>(SharedMemory() + barriers_at_) + i; }
  __device__ Barrier* free(int i) const { return full(shape_.stages + i); }

  // A stage that is free. All lanes of the warp.
  __device__ void Fill(int i) {
    const Segment segment = segments_.Find(fill_group_);
    const size_t chunk = size_t(fill_group_ - segment.first) * shape_.chunks + fill_chunk_;
    CopyBulk(stage(i), segment.weights + chunk * kBytes, stage_bytes_, full(i));
    ArriveForBytes(full(i), stage_bytes_);
    fill_chunk_ += shape_.stage_chunks;
    if (fill_chunk_ == shape_.chunks) fill_chunk_ = 0, fill_group_ += step_;
  }

  const Segments& segments_;
  const RingShape& shape_;
  const int ring_, stage_bytes_;
  const int stages_at_, barriers_at_;
  const bool fills_;
  int group_;
  const int step_;
  int fill_group_, fill_chunk_ = 0;
  int stage_ = 0;
  uint32_t parity_ = 0;
};

// --- On the host ---

// What one of two blocks that share a multiprocessor may have; each takes 1 KiB more for itself.
inline int HalfOfSharedBytes(const DeviceProperties& device) { return device.shared_bytes / 2 - 512; }

struct RingPlan {
  RingShape shape;
  int blocks = 0, shared_bytes = 0;
};

// One block of threads for each multiprocessor, with up to most_warps warps, and as many rings as share `groups` best.
// It takes half the shared memory: the next kernel's ring fills in the other half while this one ends.
inline RingPlan PlanRings(const DeviceProperties& device, int groups, int chunks, int chunk_bytes, int parts,
                          int most_warps) {
  RingPlan plan;
  RingShape& shape = plan.shape;
  shape.chunks = chunks;
  shape.parts = parts;
  const int ring_bytes = HalfOfSharedBytes(device);
  const auto bytes = [&](int rings, int stage_chunks) {  // with one stage each
    return rings * (stage_chunks * chunk_bytes + 2 * static_cast<int>(sizeof(Barrier)));
  };
  double best = 0;
  for (int rings = 1; rings <= 8 && rings * parts <= most_warps && bytes(rings, 1) * 2 <= ring_bytes; ++rings) {
    const int at_once = device.multiprocessors * rings, rounds = (groups + at_once - 1) / at_once;
    const double share = static_cast<double>(groups) / (at_once * rounds);
    if (share >= 0.98 * best) {
      best = std::max(best, share);
      shape.rings = rings;
    }
  }
  shape.stage_chunks = chunks % 2 == 0 && ring_bytes / bytes(shape.rings, 2) >= 3 ? 2 : 1;
  plan.blocks = std::min(device.multiprocessors, (groups + shape.rings - 1) / shape.rings);
  const int at_once = plan.blocks * shape.rings;
  shape.stages = std::min(ring_bytes / bytes(shape.rings, shape.stage_chunks),
                          (groups + at_once - 1) / at_once * chunks / shape.stage_chunks);
  plan.shared_bytes = shape.stages * bytes(shape.rings, shape.stage_chunks);
  return plan;
}

}  // namespace kedge::cuda::KEDGE_CUDA_TARGET

#endif  // KEDGE_COMMON_KERNELS_CUDA_WEIGHT_RING_H_
