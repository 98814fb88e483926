// Tested by gpu_check_test.sh.
#include "tests/gpu/check/decode.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/anchor/policy.h"
#include "common/anchor/tracker.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/engine/sequence.h"
#include "common/engine/step.h"
#include "common/kernels/choose_token.h"
#include "common/kv/page_pool.h"

namespace kedge {
namespace {

constexpr uint32_t kPromptRows = 4096;
constexpr uint32_t kFirstSteps = 4;  // not timed

using Clock = std::chrono::steady_clock;

// Rows of State(n - 1): what the prompt's last row sees before itself.
uint32_t StateRows(const Content& content) {
  AnchorTracker tracker(&content);
  tracker.AdvanceTo(content.prompt_length - 1);
  return static_cast<uint32_t>(tracker.State().num_rows());
}

Content DecodePrompt(const DecodeWork& work, uint32_t vocab_size) {
  const uint32_t least = StateRows(SalientPrompt(kPromptRows, 0, vocab_size)) + (kFirstSteps + work.steps / 2);
  return SalientPrompt(kPromptRows, work.visible_rows - std::min(work.visible_rows, least), vocab_size);
}

// Of f16: numbers from 1/8 to 1/2, of both signs.
RowBuffer RandomRows(size_t bytes, const StepDevice& device) {
  RowBuffer rows = device.NewRowBuffer(bytes);
  uint64_t state = 1;
  for (size_t at = 0; at + 8 <= bytes; at += 8) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const uint64_t bits = ((state ^ state >> 29) & 0x87ff87ff87ff87ffu) | 0x3000300030003000u;
    std::memcpy(rows.bytes.data() + at, &bits, 8);
  }
  return rows;
}

// The requests of one run.
class Writers {
 public:
  Writers(const DecodeWork& work, StepDevice* device) : work_(work), device_(device), pool_(device->num_pages()) {}

  absl::Status Begin() {
    const Content prompt = DecodePrompt(work_, device_->vocab_size());
    const uint32_t end = prompt.prompt_length - 1;
    state_rows_ = StateRows(prompt);
    const RowBuffer rows = RandomRows(state_rows_ * device_->row_shape().row_bytes(), *device_);
    for (uint32_t i = 0; i < work_.batch; ++i) {
      KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool_.Reserve(PagesFor(prompt, end, 1, kFirstSteps + work_.steps)));
      Sequence& sequence = *sequences_.emplace_back(std::make_unique<Sequence>(prompt, std::move(lease)));
      const StateShape shape = sequence.BeginState(end);
      const Sequence::Places places = sequence.StatePlaces(shape, 0, state_rows_);
      device_->WriteRows(places.rows, rows.Share());
      if (places.any_copy) device_->WriteRows(places.copies, rows.Share());
    }
    return absl::OkStatus();
  }

  absl::StatusOr<DecodeRun> Run() {
    DecodeRun run;
    const uint32_t last = kFirstSteps + work_.steps;
    Clock::time_point begin, busy_since;
    for (uint32_t done = 0; done < last; ++done) {
      // An answer's row names the token that the step before is to choose.
      const size_t most = device_->runs_ahead() ? 2 : 1;
      while (under_way_.size() < most && launched_ < last) {
        if (under_way_.empty()) busy_since = Clock::now();
        Launch();
      }
      KEDGE_RETURN_IF_ERROR(FinishOldest());
      const Clock::time_point now = Clock::now();
      if (done + 1 == kFirstSteps) begin = busy_since = now;
      if (done < kFirstSteps) continue;
      run.rows_read += uint64_t{work_.batch} * (state_rows_ + done + 1);
      if (under_way_.empty()) run.busy += absl::FromChrono(now - busy_since);
      if (device_time_.has_value()) run.at_work = run.at_work.value_or(absl::ZeroDuration()) + *device_time_;
      if (done + 1 == last) run.time = absl::FromChrono(now - begin);
    }
    return run;
  }

 private:
  TokenChoice ChoiceOf(uint32_t request, uint32_t position) const {
    return {.temperature = work_.temperature, .seed = 1, .completion = request, .position = position};
  }

  void Launch() {
    std::vector<Slice> slices;
    for (uint32_t i = 0; i < sequences_.size(); ++i) {
      Slice slice{.sequence = sequences_[i].get(), .rows = 1, .choice = ChoiceOf(i, launched_), .request = i};
      if (!under_way_.empty()) slice.chosen_before = under_way_.back().parts[i].output;
      slices.push_back(slice);
    }
    under_way_.push_back(LaunchStep(slices, absl::InfinitePast(), device_));
    ++launched_;
  }

  absl::Status FinishOldest() {
    const StepUnderWay step = std::move(under_way_.front());
    under_way_.pop_front();
    KEDGE_RETURN_IF_ERROR(step.future->Wait());
    device_time_ = step.future->DeviceTime();
    for (const StepUnderWay::Part& part : step.parts) {
      Sequence& sequence = *sequences_[part.request];
      KEDGE_RETURN_IF_ERROR(SettlePart(step, part, &sequence, device_));
      std::optional<uint32_t> token = step.future->Token(*part.output);
      if (!token.has_value()) {
        if (sequence.has_unknown()) return absl::InternalError("the device runs ahead, and left a token to the host");
        token = ChooseToken(step.future->Logits(*part.output), ChoiceOf(part.request, finished_));
      }
      sequence.Append(*token);
      if (!sequence.is_under_way()) sequence.DropUnseen();
    }
    ++finished_;
    return absl::OkStatus();
  }

  const DecodeWork& work_;
  StepDevice* const device_;
  PagePool pool_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::deque<StepUnderWay> under_way_;
  uint32_t state_rows_ = 0;
  uint32_t launched_ = 0;
  std::optional<absl::Duration> device_time_;  // of the step that was finished last
  uint32_t finished_ = 0;
};

}  // namespace

Content SalientPrompt(uint32_t prompt_rows, uint32_t salient_rows, uint32_t vocab_size) {
  constexpr uint32_t kSentence = 24;
  Content content{.prompt_length = prompt_rows, .policy = ParsePolicy("salient", {}).value()};
  for (uint32_t at = 0; at < prompt_rows; ++at) content.ids.push_back(at * 7919 % vocab_size);
  for (uint32_t end = kSentence - 1; end < prompt_rows; end += kSentence) content.sequence_ends.push_back(end);
  const uint32_t begin = kSentence;
  content.salient = {{begin, begin + salient_rows}};
  if (salient_rows == 0) content.salient->clear();
  return content;
}

uint64_t PagesFor(const DecodeWork& work) {
  const Content prompt = DecodePrompt(work, UINT32_MAX);
  return uint64_t{work.batch} * PagesFor(prompt, prompt.prompt_length - 1, 1, kFirstSteps + work.steps);
}

absl::StatusOr<DecodeRun> RunDecode(const DecodeWork& work, StepDevice* device) {
  Writers writers(work, device);
  KEDGE_RETURN_IF_ERROR(writers.Begin());
  return writers.Run();
}

}  // namespace kedge
