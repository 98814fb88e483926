// The part of checking a state that reads all of its bytes, done by the thread that receives them: an engine's thread,
// which has steps to launch, then compares numbers.
#ifndef KEDGE_COMMON_TRANSFER_FRAME_SUMS_H_
#define KEDGE_COMMON_TRANSFER_FRAME_SUMS_H_

#include <optional>

#include "common/anchor/chain.h"
#include "common/transfer/state_source.h"

namespace kedge {

// One a call. Owned by whoever calls the call's OnEvent, one event at a time.
class FrameSums {
 public:
  // Looks at an event, in the order in which they come, and fills in a frame's checksum, with the chain of the header
  // before it: what is wrong with either is for the engine to find.
  void Add(StateEvent* event);

 private:
  std::optional<ChainKey> chain_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TRANSFER_FRAME_SUMS_H_
