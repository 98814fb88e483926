// Where a decode node gets State(p) from: the seam between nodes. gRPC implements it (state_source_grpc.h), and tests
// break it on purpose.
#ifndef KEDGE_COMMON_TRANSFER_STATE_SOURCE_H_
#define KEDGE_COMMON_TRANSFER_STATE_SOURCE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/anchor/content.h"
#include "common/anchor/ranges.h"
#include "common/base/payload.h"

namespace kedge {

// Asks for State(content.ids.size()); content.prompt_length may be one more than the ids. `held`: positions of complete
// rows that the caller has (common/kv/held_rows.h), which need not be sent. `answer_time`: what the caller needs
// between the state and the call's deadline.
struct StateRequest {
  std::string request_id;
  Content content;
  std::string fingerprint;
  std::string kv_type;
  std::vector<PositionRange> held;
  absl::Duration answer_time;
};

// What comes back, in order: one accepted, progress at any time, one header, frames, one ended. Messages come at most
// 500 ms apart while the sender lives.
struct StateAccepted {
  uint64_t tokens_ahead = 0;
};
struct StateHead {
  Payload header;              // segment header
  uint32_t cached_tokens = 0;  // of the prompt, that the sender had already when it began with this request
};
struct StateProgress {
  uint32_t computed = 0;
};
struct StateFrame {
  Payload frame;          // frame header and rows
  uint64_t checksum = 0;  // FrameSums: of the bytes as they came
};
struct StateEnded {
  absl::Status status;  // OK: all frames were sent
};
struct StateEvent {
  std::variant<StateAccepted, StateHead, StateProgress, StateFrame, StateEnded> event;
  uint64_t wire_bytes = 0;  // of this message, as the transport counted them
  // Its end tells the transport that the message was taken. One that counts what is not taken yet sets it, and while
  // that is too much reads no more from the sender.
  std::shared_ptr<const void> in_flight;
};

// A node that has been named to be asked.
struct PrefillCandidate {
  std::string node_id;
  std::string address;  // HOST:PORT
};

// A request under way. Owned by one thread. Destroying it cancels: the sender gives its rows up. Events that were under
// way may still come.
class StateCall {
 public:
  virtual ~StateCall() = default;
};

// Thread-safe.
class StateSource {
 public:
  using OnEvent = std::function<void(StateEvent)>;

  virtual ~StateSource() = default;
  // Asks that node. `on_event` is called from any thread, one call at a time, and never
  // after StateEnded; it must not block.
  virtual std::unique_ptr<StateCall> Fetch(const PrefillCandidate& node, const StateRequest& request,
                                           absl::Time deadline, OnEvent on_event) = 0;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_TRANSFER_STATE_SOURCE_H_
