// Tested by offered_states_test.cc, and between nodes by tests/simulation_test.cc.
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
    End(states_.begin(), absl::NotFoundError("a newer state took its place"));
  }
  state.sender.StartFrames(device_);
  bytes_ += state.bytes;
  states_.push_back(std::move(state));
}

absl::Status OfferedStates::Check(const StateRequest& request) const {
  if (request.fingerprint != options_.fingerprint || request.kv_type != KvTypeName(device_->row_shape().type)) {
    return absl::FailedPreconditionError("content.fingerprint, kv_type: are not this node's");
  }
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
                      [&](const State& state) { return state.sink == nullptr && state.sender.name() == name; });
}

StateServer::JobId OfferedStates::Add(StateRequest request, std::shared_ptr<StateSink> sink, absl::Time deadline) {
  absl::Status status = Check(request);
  const auto state = status.ok() ? Find(request.content) : states_.end();
  if (state == states_.end()) {
    if (status.ok()) status = absl::NotFoundError("no answer with this state was given up here");
    sink->Send({StateEnded{std::move(status)}});
    return 0;
  }
  state->job = next_id_++;
  state->sink = std::move(sink);
  state->sink->Send({StateAccepted{}});
  state->sink->Send({StateHead{state->header, static_cast<uint32_t>(request.content.ids.size())}});
  return state->job;
}

void OfferedStates::Cancel(JobId id) {
  const auto state =
      std::find_if(states_.begin(), states_.end(), [id](const State& state) { return id != 0 && state.job == id; });
  if (state == states_.end()) return;
  bytes_ -= state->bytes;
  states_.erase(state);
}

bool OfferedStates::Turn(bool wait) {
  const absl::Time now = clock_->Now();
  bool is_copying = false;
  for (auto state = states_.begin(); state != states_.end();) {
    const auto current = state++;
    if (current->sink == nullptr) {
      if (current->until <= now) End(current, absl::OkStatus());
      continue;
    }
    absl::StatusOr<std::vector<Payload>> frames = current->sender.TakeFrames(wait);
    if (frames.ok()) {
      for (Payload& frame : *frames) current->sink->Send({StateFrame{std::move(frame)}});
    }
    if (!frames.ok() || current->sender.complete()) {
      End(current, frames.status());
    } else {
      is_copying = true;
    }
  }
  return is_copying;
}

void OfferedStates::End(std::list<State>::iterator state, const absl::Status& status) {
  const std::shared_ptr<StateSink> sink = std::move(state->sink);
  bytes_ -= state->bytes;
  states_.erase(state);
  if (sink != nullptr) sink->Send({StateEnded{status}});
}

}  // namespace kedge
