// States of answers that this node had no memory left for, kept for who goes on with them.
#ifndef KEDGE_DECODE_OFFERED_STATES_H_
#define KEDGE_DECODE_OFFERED_STATES_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/payload.h"
#include "common/engine/sequence.h"
#include "common/engine/state_exchange.h"
#include "common/kernels/step.h"
#include "common/transfer/state_server.h"

namespace kedge {

struct OfferedStatesOptions {
  std::string fingerprint;  // of the loaded model
  uint32_t context_length = 0;
  uint64_t max_bytes = 0;  // of all together; 0: nothing is kept
};

// A state is copied into host memory, as the frames in which it will leave, and so its pages are free at once. It is
// given to whoever asks, by what PrefillService promises, and stays for kKept, whatever becomes of who has asked. Where
// there are more than max_bytes, those go first that were given in whole, then the oldest. Whoever asks for what is not
// here hears so at once, and has it computed by a prefill node. Beside what is kept, a sink has the frames that it
// takes before it is congested. Called by one thread at a time.
class OfferedStates : public StateServer {
 public:
  // Who goes on with an answer asks at once, or when it has waited for memory.
  static constexpr absl::Duration kKept = absl::Seconds(10);

  // Pointers must outlive this.
  OfferedStates(OfferedStatesOptions options, StepDevice* device, const Clock* clock)
      : options_(std::move(options)), device_(device), clock_(clock) {}

  bool enabled() const { return options_.max_bytes > 0; }
  // Keeps State(position()), unless it alone is too large. REQUIRES: enabled(); no step of the sequence is under way,
  // and its state is known.
  void Offer(const Sequence& sequence);

  // kNotFound: it is not here; or, later, it went before all of it was sent. Otherwise errors as PrefillEngine::Add.
  JobId Add(StateRequest request, std::shared_ptr<StateSink> sink, absl::Time deadline) override;
  void Cancel(JobId id) override;

  // Sends what was asked for and has been copied, as fast as sinks take it, and forgets what was kept for long enough.
  // `wait`: for the copies. Returns whether some are under way.
  bool Turn(bool wait);

  // Of all that is kept.
  uint64_t num_bytes() const { return bytes_; }

 private:
  struct State {
    StateSender sender;
    absl::Time until;
    Payload header;
    std::vector<Payload> frames;  // that have been copied
    uint64_t bytes = 0;
  };
  struct Job {
    JobId id = 0;
    std::list<State>::iterator state;
    std::shared_ptr<StateSink> sink;
    size_t num_sent = 0;  // of the state's frames
  };

  absl::Status Check(const StateRequest& request) const;
  std::list<State>::iterator Find(const Content& content);
  // Ends the jobs that stand on it as well.
  void Drop(std::list<State>::iterator state, const absl::Status& status);

  const OfferedStatesOptions options_;
  StepDevice* const device_;
  const Clock* const clock_;
  std::list<State> states_;  // that goes first which is to go first
  std::list<Job> jobs_;
  uint64_t bytes_ = 0;
  JobId next_id_ = 1;
};

}  // namespace kedge

#endif  // KEDGE_DECODE_OFFERED_STATES_H_
