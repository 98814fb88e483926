// Tested by offered_states_test.cc, and between nodes by tests/simulation_memory_test.cc.
#include "decode/offered_states.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/check.h"
#include "common/base/status.h"

namespace kedge {

void OfferedStates::Offer(const Sequence& sequence) {
  KEDGE_CHECK(!sequence.is_under_way());
  State state{.sender = StateSender(&sequence, sequence.position(), options_.fingerprint),
              .until = clock_->Now() + kKept};
  std::optional<Payload> header = state.sender.TakeHeader(*device_);
  KEDGE_CHECK(header.has_value());
  state.header = *std::move(header);
  state.bytes = state.sender.num_bytes();
  if (state.bytes > options_.max_bytes) return;
  while (bytes_ + state.bytes > options_.max_bytes) {
    Drop(states_.begin(), absl::NotFoundError("a newer state took its place"));
  }
  state.sender.StartFrames(device_, /*to_stay=*/true);
  bytes_ += state.bytes;
  states_.push_back(std::move(state));
}

absl::Status OfferedStates::Check(const StateRequest& request) const {
  KEDGE_RETURN_IF_ERROR(CheckOwnRows(request.fingerprint, request.kv_type, options_.fingerprint, *device_));
  KEDGE_RETURN_IF_ERROR(CheckContent(request.content, device_->vocab_size(), options_.context_length));
  return CheckHeld(request.held, request.content);
}

// By name, which says of everything but a choice what the rows stand on; and that, the receiver compares.
std::list<OfferedStates::State>::iterator OfferedStates::Find(const Content& content) {
  const uint32_t end = static_cast<uint32_t>(content.ids.size());
  if (states_.empty() || content.prompt_length == 0 || end < content.prompt_length || content.NeedsChoice()) {
    return states_.end();
  }
  const ChainKey name = StateHeader(content, end, options_.fingerprint, *device_).chain;
  return std::find_if(states_.begin(), states_.end(),
                      [&](const State& state) { return state.sender.name() == name; });
}

StateServer::JobId OfferedStates::Add(StateRequest request, std::shared_ptr<StateSink> sink, absl::Time deadline) {
  absl::Status status = Check(request);
  const auto state = status.ok() ? Find(request.content) : states_.end();
  if (state == states_.end()) {
    if (status.ok()) status = absl::NotFoundError("no answer with this state was given up here");
    sink->Send({StateEnded{std::move(status)}});
    return 0;
  }
  sink->Send({StateAccepted{}});
  sink->Send({StateHead{state->header, static_cast<uint32_t>(request.content.ids.size())}});
  jobs_.push_back({.id = next_id_, .state = state, .sink = std::move(sink)});
  return next_id_++;
}

void OfferedStates::Cancel(JobId id) {
  jobs_.remove_if([id](const Job& job) { return job.id == id; });
}

bool OfferedStates::Turn(bool wait) {
  const absl::Time now = clock_->Now();
  bool is_copying = false;
  for (auto state = states_.begin(); state != states_.end();) {
    const auto current = state++;
    absl::StatusOr<std::vector<Payload>> frames = current->sender.TakeFrames(wait);
    if (!frames.ok()) {
      Drop(current, frames.status());
    } else if (current->until <= now) {
      Drop(current, absl::NotFoundError("the state was kept for long enough"));
    } else {
      current->frames.insert(current->frames.end(), frames->begin(), frames->end());
      is_copying |= current->sender.copying();
    }
  }
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    const auto current = job++;
    const State& state = *current->state;
    while (current->num_sent < state.frames.size() && !current->sink->Congested()) {
      current->sink->Send({StateFrame{state.frames[current->num_sent++]}});
    }
    if (!state.sender.complete() || current->num_sent < state.frames.size()) continue;
    current->sink->Send({StateEnded{absl::OkStatus()}});
    states_.splice(states_.begin(), states_, current->state);
    jobs_.erase(current);
  }
  return is_copying;
}

void OfferedStates::Drop(std::list<State>::iterator state, const absl::Status& status) {
  jobs_.remove_if([&](const Job& job) {
    if (job.state != state) return false;
    job.sink->Send({StateEnded{status}});
    return true;
  });
  bytes_ -= state->bytes;
  states_.erase(state);
}

}  // namespace kedge
