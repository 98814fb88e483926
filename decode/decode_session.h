// A job of DecodeEngine, for its own sources alone.
#ifndef KEDGE_DECODE_DECODE_SESSION_H_
#define KEDGE_DECODE_DECODE_SESSION_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/engine/prefix_cache.h"
#include "common/engine/sequence.h"
#include "common/engine/state_exchange.h"
#include "decode/decode_engine.h"

namespace kedge {

struct DecodeEngine::Session {
  enum class State { kWaiting, kReceiving, kRunning };

  JobId id;
  DecodeJob job;
  std::shared_ptr<DecodeSink> sink;
  Room room;
  absl::Time arrived;
  absl::Time waits_since = absl::InfinitePast();  // for room: the engine could begin it before in no turn
  uint32_t stored = 0;                            // rows that were here when somebody last looked
  State state = State::kWaiting;
  absl::Status failed;                             // to be told in the next turn
  absl::Time not_before = absl::InfinitePast();    // it gives way once to answers that are in a hurry
  std::shared_ptr<const PrefixWait> wait;          // for what another job computes
  std::unique_ptr<Sequence> sequence;              // once the job has rows
  std::unique_ptr<PrefixComputation> computation;  // once it runs

  // Receiving.
  uint32_t attempt = 0;      // candidates tried so far
  uint32_t call_number = 0;  // of the newest call: events of others are late
  std::unique_ptr<StateCall> call;
  std::optional<StateReceiver> receiver;
  absl::Time asked;
  absl::Time last_event;
  absl::Time last_advance;     // the state came nearer
  uint32_t told_computed = 0;  // tokens, of this try
  int refusals = 0;            // of prefill nodes that are full, noted ones included
  bool is_late = false;        // one of them had no room for one with so little time
  absl::Duration full_for = absl::InfiniteDuration();  // the least time after which one of these has room

  absl::Time began = absl::InfinitePast();  // rows were reserved
  PrefilledInfo prefilled;
  bool prefilled_sent = false;
  bool is_about_to_move = false;   // when its steps are done
  std::optional<uint32_t> output;  // of the newest step, while that is under way and is to choose a token

  const Content& content() const { return sequence != nullptr ? sequence->content() : job.content; }
  uint32_t generated() const { return static_cast<uint32_t>(content().ids.size()) - content().prompt_length; }
  // Ids came with it that were written elsewhere.
  bool has_begun() const { return job.has_begun(); }
  // Ids before the last: their state is what the job needs.
  uint32_t missing() const { return static_cast<uint32_t>(job.content.ids.size()) - 1; }
};

// Which jobs the next turn will begin, if nothing ends before. Among them are those that give way for a moment, and
// those that will then wait for what another one of them computes. Asked of all in their order.
class DecodeEngine::NextTurn {
 public:
  explicit NextTurn(const DecodeEngine* engine) : engine_(engine), free_pages_(engine->FreePages()) {}

  bool Begins(const Session& session) {
    if (!MayBegin(session, absl::InfiniteFuture())) return false;
    is_blocked_ |= session.room.pages > free_pages_;  // nobody overtakes
    if (is_blocked_) return false;
    const uint32_t to_grow = session.room.ids < engine_->MostIds(session.job);
    free_pages_ -= std::min(free_pages_, session.room.pages + to_grow);
    return true;
  }
  // Behind those that begin.
  uint32_t free_pages() const { return free_pages_; }

 private:
  const DecodeEngine* const engine_;
  uint32_t free_pages_;
  bool is_blocked_ = false;
};

}  // namespace kedge

#endif  // KEDGE_DECODE_DECODE_SESSION_H_
