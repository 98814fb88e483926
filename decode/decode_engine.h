// The decode node without its network: jobs in, tokens out.
#ifndef KEDGE_DECODE_DECODE_ENGINE_H_
#define KEDGE_DECODE_DECODE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/container/flat_hash_map.h"
#include "common/base/clock.h"
#include "common/base/full_note.h"
#include "common/engine/known_answers.h"
#include "common/engine/node_stats.h"
#include "common/engine/prefix_cache.h"
#include "common/engine/sequence.h"
#include "common/engine/step.h"
#include "common/engine/step_queue.h"
#include "common/kernels/step.h"
#include "common/kv/held_rows.h"
#include "common/kv/page_pool.h"
#include "common/model/sampler.h"
#include "common/transfer/state_source.h"
#include "decode/answer_admission.h"
#include "decode/answer_length.h"
#include "decode/offered_states.h"
#include "decode/row_source.h"

namespace kedge {

struct DecodeOptions {
  // --- Change results ---
  std::string fingerprint;  // of the loaded model
  uint32_t context_length = 0;
  SalienceHeads salience_heads;  // of the loaded model; empty: choices are left to prefill nodes
  // --- Change speed ---
  uint32_t cache_pages = 0;    // most pages that stored beginnings of texts hold; 0: none are stored
  uint64_t held_bytes = 0;     // most bytes of received rows that are held for later requests; 0: none are held
  uint64_t offered_bytes = 0;  // most bytes of states of answers that moved; 0: none are kept
  RowSourceLimits row_source;
  uint32_t max_waiting = 256;                       // jobs that wait for rows; beyond it: RESOURCE_EXHAUSTED
  absl::Duration silence_limit = absl::Seconds(3);  // a prefill node that says nothing for so long is given up
  absl::Duration stall_limit = absl::Minutes(2);    // and one that says much and gets no further
  RunStep run_step;                                 // null: as steps are
};

// One completion, or the rest of one: ids after prompt_length were generated before.
struct DecodeJob {
  std::string request_id;
  Content content;
  std::string fingerprint;
  SamplingParams sampling;
  std::vector<PrefillCandidate> candidates;  // best first; empty: the prompt is computed here
  absl::Time deadline = absl::InfiniteFuture();

  bool has_begun() const { return content.ids.size() > content.prompt_length; }
};

// How the rows before the last given token came here.
struct PrefilledInfo {
  std::string prefill_node;                           // empty: computed here
  uint32_t kept_rows = 0;                             // of the state
  uint32_t held_rows = 0;                             // of these, that were held here and did not come
  uint32_t adaptive_rows = 0;                         // of these, that an adaptive budget granted beyond its least
  uint64_t segment_bytes = 0;                         // received, failed tries included
  uint32_t cached_tokens = 0;                         // of the rows, that no node had to compute for this job
  absl::Duration queue_time;                          // until rows were reserved and a prefill node was asked
  absl::Duration prefill_time;                        // from there until the rows were here
  std::vector<PositionRange> kept_ranges;             // of the prompt, that its last row sees
  std::optional<std::vector<PositionRange>> salient;  // the choice that the rows stand on
};

struct FinishedInfo {
  bool end_id_sampled = false;  // else max_tokens or the context was reached
  uint32_t end_id = 0;          // if end_id_sampled
};

// Where a job's tokens go. Must not block. One OnPrefilled, then tokens, then one OnEnd.
class DecodeSink {
 public:
  virtual ~DecodeSink() = default;
  virtual void OnPrefilled(const PrefilledInfo& info) = 0;
  // `index`: place in the answer, from 0.
  virtual void OnToken(uint32_t index, const SampledToken& token) = 0;
  // OK: `finished` says why. kAborted with the reason MOVED: it is to go on elsewhere. Otherwise it failed, at any point.
  virtual void OnEnd(const absl::Status& status, const FinishedInfo& finished) = 0;
};

// A job goes kWaiting (for rows, or for another job to compute the beginning that both share) -> kReceiving (its state
// is on its way; a failed try starts the next; it waits again when others need its rows) -> kRunning -> gone, or
// kWaiting -> kRunning where nothing is to be received; it goes at any time when it is cancelled. No prefill node's
// failure fails a job: when all candidates have been tried, the prompt is computed here, for which the job may have to
// wait once more: where a state is received, less is reserved than where a prompt is computed.
//
// Under `prefill=full` what a job leaves is of no use to others, but rows that it received are: they are held
// (HeldRows), and a later state comes without them.
//
// Before anything is asked for a job has rows for its prompt and the next tokens, and it gets more as it goes on. When
// there are none, the youngest answer ends with kAborted and the reason MOVED: its caller goes on with it where there
// is room, here too, behind those that stay; a state that is under way is given up, and asked for again. What an answer
// that goes has come to stays for a moment (OfferedStates), and whoever goes on with it asks for it here. Each call
// brings a token, so all end, and no job begins that the node could not end alone. An answer that was let in as it
// began is let in again: what it has written meanwhile makes a state no larger, and rows that are computed here can
// come in smaller steps. One that was let in to receive its state may need more if it is computed here after all, since
// no node is left to send it: rows that the state no longer has, under `prefill=full` all of the prompt's.
// What a job leaves, its prompt and its answer, stays in the cache, which holds no rows that a job has reserved: the
// next turn of a chat goes on from there.
//
// Where the device runs ahead a step is launched before the one before has been waited for: a prompt's next rows need
// nothing of it but at a checkpoint or a reduction, and an answer's row names the token that the step before chooses.
// Then the row behind an end token, or behind a token that the device left undecided, has been computed in vain and is
// taken back. As long as one of the running answers needs more than that (logits on the host, or a policy whose rows
// depend on their own ids), steps follow one another in turn: no answer waits for a step that others run ahead. A job
// that ends early while a step of its own is under way leaves in the cache only what its checkpoints have stored.
//
// With a deadline, and as soon as steps have been measured, a job is let in only if it will be in time and makes no
// answer late that was let in before (answer_admission.h). An answer that has begun elsewhere is let in without that,
// and gets its rows before those that have not begun: who waits for it has seen a part. A prefill node that refuses is
// not asked again before the time that it named (FullNote), and two that refuse are enough: then the prompt is computed
// here, if there is time for that. A job whose deadline passes ends before it costs another step.
//
// Events come in through Add, Cancel, `post` and `enter`, everything else happens in Turn: one after another, but Add
// and what was given to `enter` may come within run_step as well, from any thread, so that nobody waits for a step to
// end who is refused, or whose state another node computes.
class DecodeEngine {
 public:
  using JobId = uint64_t;
  // Runs a closure on the engine's thread; thread-safe.
  using Post = std::function<void(std::function<void()>)>;

  // All pointers must outlive this; closures given to `post` and `enter` must not run after its destruction. Those of
  // `enter` need no device, and may run where Add may; null: `post`.
  DecodeEngine(const DecodeOptions& options, StepDevice* device, StateSource* source, const Clock* clock, Post post,
               Post enter = nullptr);
  ~DecodeEngine();

  // Takes a job and, where it may begin, asks for its state, or ends it at once with a status that names the field:
  // kInvalidArgument, kFailedPrecondition (another model), kResourceExhausted (queue full, unless its answer has begun,
  // more rows than the node has, or too late). What needs the device begins in the next turn. `sink` is released when
  // the job goes.
  JobId Add(DecodeJob job, std::shared_ptr<DecodeSink> sink);
  // Forgets a job; its rows are free or the cache's at once. Unknown ids are ignored (the job may have ended).
  void Cancel(JobId id);

  // Admits what fits, gives up silent prefill nodes, launches a step over all running jobs, and sends the tokens of the
  // oldest one under way: the same, or the one before where the device runs ahead. Returns whether work is left.
  bool Turn();

  // KnownAnswers::Add: behind all jobs.
  void Answer(std::vector<uint32_t> ids, KnownAnswers::Answered answered) {
    known_answers_.Add(std::move(ids), std::move(answered));
  }

  // What is left of answers that moved: whoever goes on with one asks here first.
  StateServer* offered_states() { return &offered_; }

  NodeStats stats() const;

 private:
  struct Session;
  class NextTurn;
  using SessionIt = std::list<Session>::iterator;

  absl::Status Check(const DecodeJob& job) const;
  // What a job has pages for.
  struct Room {
    uint32_t first = 0;  // ids that arrive as a state
    uint32_t ids = 0;    // those of which rows have a place
    uint32_t chunk = 1;  // most rows of a step
    uint32_t pages = 0;
  };
  // Ids that the job may have in the end.
  uint32_t MostIds(const DecodeJob& job) const;
  Room RoomOf(const DecodeJob& job, uint32_t first, uint32_t ids, uint32_t chunk) const;
  // What a job begins with if `first` ids arrive as a state. kResourceExhausted if the node has not the pages that all
  // of it may need; one whose answer has begun takes smaller steps first.
  absl::StatusOr<Room> FirstRoom(const DecodeJob& job, uint32_t first) const;
  bool IsRemote(const Session& session) const;
  // All sessions but this one, and it as one that asks to be let in.
  AnswersHere HereWithout(const Session* session) const;
  AnswerHere AnswerOf(const Session& session) const;
  absl::Duration TokenTime(double answers, double seen) const;
  absl::Duration PromptTime(uint32_t begin, uint32_t end, uint32_t pages) const;
  // Whether it will be in time (RefuseAnswer).
  std::optional<AnswerRefusal> CheckTime(const Session& session) const;
  // Refuses it for want of time, or makes it give way for a moment to those that are in a hurry.
  absl::Status LetIn(Session& session);
  // A refusal for want of time; `room`: after which there is some.
  absl::Status TooLate(absl::Duration room) const;
  // Passes over candidates that are full.
  void SkipFull(Session& session);
  // The refusal of a job that needs one of them.
  static absl::Status NoneHasRoom(const Session& session);
  void EndLate();
  void EndFailed();
  void Admit();
  // Where there is room for it.
  static bool MayBegin(const Session& session, absl::Time now);
  // Whether the newest job would wait, and more do than may.
  bool IsFullFor(const Session& newest) const;
  uint32_t FreePages() const;
  void FetchAtOnce(Session& newest);
  // What is stored of its prompt, as far as it may be used; session.stored becomes how much that is.
  std::optional<CachedPrefix> FindStored(Session& session);
  // Whether others are asked for its state, with so much stored here. If not though it has candidates, `here` becomes
  // what it needs instead.
  bool IsFetched(const Session& session, Room* here) const;
  // REQUIRES: session.room.pages are free.
  void TakeRows(Session& session);
  void Begin(Session& session);
  void Run(Session& session, const std::optional<CachedPrefix>& hit);
  void FetchNext(Session& session);
  void OnStateEvent(JobId id, uint32_t call_number, StateEvent event);
  absl::Status TakeStateEvent(Session& session, StateEvent event);
  void GiveUpSilent();
  static void LogGivenUp(const Session& session, const std::string& reason);
  void Step();
  bool Launch();
  std::vector<SessionIt> Running();
  bool HasRoom(const Session& session) const;
  void GrowAnswers();
  SessionIt Youngest();
  bool Move(SessionIt session);
  bool IsLastToken(const Session& session) const;
  std::optional<TokenChoice> ChoiceAhead(const Session& session) const;
  void FinishOldest();
  // `output`: of the session's row.
  void TakeToken(SessionIt session, const StepFuture& step, size_t output);
  void TakeBack(Session& session);
  void End(SessionIt session, absl::Status status, const FinishedInfo& finished = {});

  const DecodeOptions options_;
  StepDevice* const device_;
  StateSource* const source_;
  const Clock* const clock_;
  const Post post_;
  const Post enter_;
  PagePool pool_;
  PrefixCache cache_;
  HeldRows held_;
  OfferedStates offered_;
  KnownAnswers known_answers_;
  StepQueue steps_;
  AnswerLength length_;
  absl::Duration fetch_time_;  // of states that came of late
  absl::flat_hash_map<std::string, FullNote> full_;  // prefill nodes that refused, by id
  std::list<Session> sessions_;  // in order of arrival; of those that wait, answers that have begun come first
  JobId next_id_ = 1;
};

}  // namespace kedge

#endif  // KEDGE_DECODE_DECODE_ENGINE_H_
