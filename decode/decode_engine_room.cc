// What DecodeEngine's jobs have pages for: with how many they begin, how they get more, and which of them goes where
// there are none. Tested by decode_engine_test.cc, and with several nodes by
// tests/simulation_memory_test.cc.
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/error_reason.h"
#include "decode/decode_engine.h"
#include "decode/decode_session.h"
#include "spdlog/spdlog.h"

namespace kedge {
namespace {

constexpr uint32_t kIdsAhead = 2 * kPageRows;  // that an answer has rows for when it begins or grows

}  // namespace

uint32_t DecodeEngine::MostIds(const DecodeJob& job) const {
  const uint32_t size = static_cast<uint32_t>(job.content.ids.size());
  const uint64_t all = uint64_t{job.content.prompt_length} + job.sampling.max_tokens;
  return static_cast<uint32_t>(std::clamp<uint64_t>(all, size, options_.context_length));
}

DecodeEngine::Room DecodeEngine::RoomOf(const DecodeJob& job, uint32_t first, uint32_t ids, uint32_t chunk) const {
  const uint32_t size = static_cast<uint32_t>(job.content.ids.size());
  return {.first = first, .ids = ids, .chunk = chunk, .pages = PagesFor(job.content, first, chunk, ids - size)};
}

absl::StatusOr<DecodeEngine::Room> DecodeEngine::FirstRoom(const DecodeJob& job, uint32_t first) const {
  const uint32_t size = static_cast<uint32_t>(job.content.ids.size());
  Room all = RoomOf(job, first, MostIds(job), device_->max_rows());
  const auto fits = [this](const Room& room) { return room.pages <= pool_.num_pages(); };
  if (job.has_begun() && !fits(all) && fits(RoomOf(job, first, all.ids, 1))) {
    while (!fits(all)) all = RoomOf(job, first, all.ids, all.chunk / 2);
  }
  if (fits(all)) return RoomOf(job, first, std::min(all.ids, size + kIdsAhead), all.chunk);
  return WithReason(
      absl::ResourceExhaustedError(absl::StrCat("KV memory: the request may need ", uint64_t{all.pages} * kPageRows,
                                                " rows, this node has ", uint64_t{pool_.num_pages()} * kPageRows)),
      kKvMemoryTooSmall);
}

// For who comes: a page for each answer that will grow is left, or else it would soon have to go again.
uint32_t DecodeEngine::FreePages() const {
  uint32_t growing = 0;
  for (const Session& session : sessions_) {
    growing += session.sequence != nullptr && session.room.ids < MostIds(session.job);
  }
  return pool_.num_free() - std::min(pool_.num_free(), growing);
}

bool DecodeEngine::HasRoom(const Session& session) const { return session.sequence->position() < session.room.ids; }

// Answers whose next row has no place get more pages, and where there are none, those of the youngest.
void DecodeEngine::GrowAnswers() {
  for (Session& session : sessions_) session.is_about_to_move = false;
  for (auto session = sessions_.begin(); session != sessions_.end();) {
    const auto current = session++;
    if (current->state != Session::State::kRunning || HasRoom(*current)) continue;
    Room room = RoomOf(current->job, current->room.first,
                       std::min(MostIds(current->job), current->room.ids + kIdsAhead), current->room.chunk);
    // Of a prompt that was reduced since then less is known to be kept than was set apart for it.
    room.pages = std::max(room.pages, current->room.pages);
    const uint32_t more = room.pages - current->room.pages;
    if (more <= pool_.num_free()) {
      current->sequence->Grow(more);
      current->room = room;
    } else if (const SessionIt youngest = Youngest(); youngest == current) {
      const bool is_alone = std::count_if(sessions_.begin(), sessions_.end(), [](const Session& other) {
                              return other.sequence != nullptr;
                            }) == 1;
      if (!is_alone) Move(current);  // else a known answer has what is missing, and ends in a moment
    } else {
      session = current;  // it tries again
      if (!Move(youngest)) return;
    }
  }
}

// Of those that have rows and wait for a state, or have written a token here, as who asks for room has: so every call
// brings a token, and in the end all. A prompt that is computed here is let end.
DecodeEngine::SessionIt DecodeEngine::Youngest() {
  const auto youngest = std::find_if(sessions_.rbegin(), sessions_.rend(), [](const Session& session) {
    return session.state == Session::State::kReceiving ||
           (session.state == Session::State::kRunning && session.prefilled_sent);
  });
  return std::prev(youngest.base());
}

// Returns whether its rows are free now; else they will be when its steps are done, and its state is whole. A job that
// waits for its state waits for rows again; of an answer that has begun the caller hears, who knows where there is
// room.
bool DecodeEngine::Move(SessionIt session) {
  if (session->state == Session::State::kReceiving) {
    session->call.reset();
    session->receiver.reset();
    session->sequence.reset();
    --session->attempt;
    session->state = Session::State::kWaiting;
    return true;
  }
  if (offered_.enabled()) {
    session->is_about_to_move = session->sequence->is_under_way();
    if (session->is_about_to_move) return false;
    offered_.Offer(*session->sequence);
  }
  spdlog::debug("request {}: moves after {} tokens, for want of KV memory", session->job.request_id,
                session->generated());
  End(session, WithReason(absl::AbortedError("KV memory: full; the answer goes on where there is room"), kMoved));
  return true;
}

}  // namespace kedge
