// The table of one target's kernels.
#include "common/kernels/cuda/kernels.h"

#include "common/kernels/cuda/launchers.h"

namespace kedge::cuda {

#ifdef __CUDACC__
const Kernels& DeviceKernels() {
#else
const Kernels& EmulatedKernels() {
#endif
  static const Kernels kKernels = {
      .embed = Embed,
      .add_norm = AddNorm,
      .norm_heads = NormHeads,
      .add = Add,
      .swiglu = SwiGlu,
      .quantize = Quantize,
      .gather = Gather,
      .multiply = Multiply,
      .make_turns = MakeTurns,
      .turn_and_write = TurnAndWrite,
      .attend_split = AttendSplit,
      .attend_tiles = AttendTiles,
      .give_mass = GiveMass,
      .gather_rows = GatherRows,
      .scatter_rows = ScatterRows,
      .checksum = Checksum,
      .choose_tokens = ChooseTokens,
  };
  return kKernels;
}

}  // namespace kedge::cuda
