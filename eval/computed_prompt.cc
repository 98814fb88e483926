// Tested by computed_prompt_test.cc.
#include "eval/computed_prompt.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/anchor/choose_sequences.h"
#include "common/anchor/segment.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/engine/state_exchange.h"
#include "common/engine/step.h"

namespace kedge {
namespace {

bool Chooses(const Policy& policy) { return policy.salient_millionths > 0; }

// One prompt while it is computed. The sequence makes the choice of its own policy; the others' are made from the same
// attention.
struct Running {
  ComputedPrompt prompt;
  std::vector<std::optional<Salience>> choosers;  // [policies]

  uint32_t last() const { return prompt.sequence->content().prompt_length - 1; }
  uint32_t left() const { return last() - std::min(last(), prompt.sequence->position()); }
};

absl::StatusOr<Running> Begin(const PrefixState& state, const Continuation& continuation,
                              absl::Span<const Policy> policies, const SalienceHeads& heads, PagePool* pool,
                              StepDevice* device) {
  const Policy& computing = ComputingPolicy(policies);
  Running running{.choosers = std::vector<std::optional<Salience>>(policies.size())};
  for (const Policy& policy : policies) running.prompt.contents.push_back(PromptContent(continuation, policy));
  KEDGE_ASSIGN_OR_RETURN(running.prompt.sequence,
                         GoOnFrom(state, PromptContent(continuation, computing), &heads, /*max_new=*/0, pool, device));
  for (size_t i = 0; i < policies.size(); ++i) {
    if (!running.prompt.contents[i].NeedsChoice() || policies[i] == computing) continue;
    Salience& chooser = running.choosers[i].emplace(running.prompt.contents[i], heads);
    if (running.prompt.sequence->position() > 0) chooser.Take(*state.salience);
  }
  return running;
}

// Adds what the rows of `slice` tell to every chooser but the sequence's own. Call it before the sequence settles.
void Observe(const Slice& slice, const StepFuture& step, size_t first_mass, const SalienceHeads& heads,
             Running* running) {
  const size_t mass_rows = slice.sequence->num_mass_rows(), num_heads = heads.pointers.size() + heads.retrieval.size();
  const uint32_t first = slice.sequence->position() - static_cast<uint32_t>(mass_rows);  // the observed are the last
  for (std::optional<Salience>& chooser : running->choosers) {
    if (!chooser.has_value()) continue;
    for (uint32_t row = 0; row < mass_rows; ++row) {
      for (size_t head = 0; head < num_heads; ++head) {
        chooser->Add(first + row, head, step.Mass(first_mass + row, head));
      }
    }
  }
}

absl::Status ComputeRows(const SalienceHeads& heads, std::vector<Running>* runnings, StepDevice* device) {
  while (true) {
    std::vector<Slice> slices;
    std::vector<Running*> owners;
    uint32_t left = device->max_rows();
    for (Running& running : *runnings) {
      const uint32_t rows = std::min(left, running.left());
      if (rows == 0) continue;
      slices.push_back({.sequence = running.prompt.sequence.get(), .rows = rows, .logits = WantedLogits::kNone});
      owners.push_back(&running);
      left -= rows;
    }
    if (slices.empty()) return absl::OkStatus();
    const std::unique_ptr<StepFuture> step = LaunchStep(slices, device);
    KEDGE_RETURN_IF_ERROR(step->Wait());
    size_t first_mass = 0;
    for (size_t i = 0; i < slices.size(); ++i) {
      Observe(slices[i], *step, first_mass, heads, owners[i]);
      first_mass += slices[i].sequence->num_mass_rows();
    }
    KEDGE_RETURN_IF_ERROR(FinishStep(slices, step.get(), device));
    // A prompt that is masked needs room for what its rows see alone. Complete rows all stay.
    for (const Slice& slice : slices) {
      if (!HasFullPrefill(slice.sequence->content().policy)) slice.sequence->DropUnseen();
    }
  }
}

// Where rows [0, end) of a prompt lie that was computed in full.
std::vector<RowRef> FirstRows(const ComputedPrompt& prompt, uint32_t end) {
  return prompt.sequence->StateRows({.end = end}, 0, end);
}

// Where the prompt's row lies for each row of a state, in the state's order.
std::vector<RowRef> RowsOf(const ComputedPrompt& prompt, const StateShape& shape) {
  const uint32_t count = static_cast<uint32_t>(shape.num_rows());
  if (!HasFullPrefill(prompt.sequence->content().policy)) return prompt.sequence->StateRows(shape, 0, count);
  const std::vector<RowRef> all = FirstRows(prompt, shape.end);
  std::vector<RowRef> rows;
  for (uint32_t position : shape.kept) rows.push_back(all[position]);
  rows.insert(rows.end(), all.begin() + shape.recent_begin, all.end());
  return rows;
}

absl::StatusOr<RowBuffer> ReadRows(std::vector<RowRef> rows, StepDevice* device) {
  const RowBuffer bytes = device->NewRowBuffer(rows.size() * device->row_shape().row_bytes());
  KEDGE_RETURN_IF_ERROR(device->ReadRows(std::move(rows), bytes)->Wait());
  return bytes;
}

// Rows that are not as the prompt has them: made on the host, and written to their places.
absl::Status WriteChanged(const ComputedPrompt& prompt, const Following& following, std::vector<RowRef> from,
                          const Sequence::Places& places, StepDevice* device) {
  const RowShape& shape = device->row_shape();
  KEDGE_ASSIGN_OR_RETURN(const RowBuffer rows, ReadRows(std::move(from), device));
  if (following.head_rows != nullptr) {
    KEDGE_ASSIGN_OR_RETURN(const RowBuffer all,
                           ReadRows(FirstRows(prompt, prompt.sequence->content().prompt_length - 1), device));
    PutHeadRows(shape, *following.head_rows, all.bytes, rows.bytes);
  }
  if (following.bits > 0) KEDGE_RETURN_IF_ERROR(RoundRows(shape, following.bits, rows.bytes));
  device->WriteRows(places.rows, rows.Share());
  if (places.any_copy) device->WriteRows(places.copies, rows.Share());
  return absl::OkStatus();
}

}  // namespace

bool ShareRows(const Policy& a, const Policy& b) {
  if (!HasFullPrefill(a) || !HasFullPrefill(b)) return a == b;
  if (!Chooses(a) || !Chooses(b)) return true;
  return a.anchors == b.anchors && a.text_anchors == b.text_anchors && a.longest == b.longest;
}

const Policy& ComputingPolicy(absl::Span<const Policy> policies) {
  const auto chooser = std::find_if(policies.begin(), policies.end(), Chooses);
  if (chooser != policies.end()) return *chooser;
  return policies.empty() || HasFullPrefill(policies[0]) ? kFullAttention : policies[0];
}

absl::StatusOr<std::vector<ComputedPrompt>> ComputePrompts(const PrefixState& state,
                                                           absl::Span<const Continuation* const> prompts,
                                                           absl::Span<const Policy> policies,
                                                           const SalienceHeads& heads, PagePool* pool,
                                                           StepDevice* device) {
  std::vector<Running> runnings;
  for (const Continuation* prompt : prompts) {
    if (!runnings.empty()) {
      const uint32_t pages =
          PagesFor(PromptContent(*prompt, ComputingPolicy(policies)), 0, device->max_rows(), /*max_new=*/0);
      if (pages + pool->num_pages() / 2 > pool->num_free()) break;
    }
    KEDGE_ASSIGN_OR_RETURN(Running running, Begin(state, *prompt, policies, heads, pool, device));
    runnings.push_back(std::move(running));
  }
  KEDGE_RETURN_IF_ERROR(ComputeRows(heads, &runnings, device));
  std::vector<ComputedPrompt> computed;
  for (Running& running : runnings) {
    ComputedPrompt& prompt = running.prompt;
    for (size_t i = 0; i < policies.size(); ++i) {
      if (!prompt.contents[i].NeedsChoice()) continue;
      Content& content = prompt.contents[i];
      const std::optional<Salience>& chooser = running.choosers[i];
      content.salient = chooser.has_value() ? ChooseSequences(content, chooser->outline(), chooser->Scores(content.ids))
                                            : prompt.sequence->content().salient;
    }
    computed.push_back(std::move(prompt));
  }
  return computed;
}

absl::StatusOr<std::unique_ptr<Sequence>> TakeState(const ComputedPrompt& prompt, Following following, PagePool* pool,
                                                    StepDevice* device) {
  Content& content = following.content;
  KEDGE_CHECK(!content.NeedsChoice());
  const uint32_t last = content.prompt_length - 1;
  if (!following.given.empty()) {
    content.ids.insert(content.ids.end(), following.given.begin(), following.given.end() - 1);
  }
  KEDGE_ASSIGN_OR_RETURN(PageLease lease,
                         pool->Reserve(PagesFor(content, last, device->max_rows(), following.max_new)));
  auto sequence = std::make_unique<Sequence>(std::move(content), std::move(lease));
  const StateShape shape = sequence->BeginState(last);
  const uint32_t count = static_cast<uint32_t>(shape.num_rows());
  if (count == 0) return sequence;
  std::vector<RowRef> from = RowsOf(prompt, shape);
  const Sequence::Places places = sequence->StatePlaces(shape, 0, count);
  if (following.bits > 0 || following.head_rows != nullptr) {
    KEDGE_RETURN_IF_ERROR(WriteChanged(prompt, following, std::move(from), places, device));
    return sequence;
  }
  std::vector<RowRef> to = places.rows;
  for (uint32_t row = 0; row < count; ++row) {
    if (places.copies[row].page == kNoPage) continue;
    from.push_back(from[row]);
    to.push_back(places.copies[row]);
  }
  device->CopyRows(std::move(from), std::move(to));
  return sequence;
}

absl::StatusOr<std::unique_ptr<Sequence>> Repeat(const ComputedPrompt& prompt, uint32_t begin, PagePool* pool,
                                                 StepDevice* device) {
  const Content& computed = prompt.sequence->content();
  Content content{.ids = {computed.ids.begin(), computed.ids.begin() + computed.prompt_length - 1},
                  .prompt_length = computed.prompt_length,
                  .policy = kFullAttention};
  KEDGE_ASSIGN_OR_RETURN(PageLease lease, pool->Reserve(PagesFor(content, begin, device->max_rows(), 0)));
  auto sequence = std::make_unique<Sequence>(std::move(content), std::move(lease));
  const StateShape shape = sequence->BeginState(begin);
  if (begin > 0) device->CopyRows(FirstRows(prompt, begin), sequence->StatePlaces(shape, 0, begin).rows);
  return sequence;
}

void PutHeadRows(const RowShape& shape, const HeadRows& head_rows, absl::Span<const uint8_t> all,
                 absl::Span<uint8_t> rows) {
  const size_t all_rows = all.size() / shape.row_bytes(), num_rows = rows.size() / shape.row_bytes();
  for (size_t head = 0; head < head_rows.size(); ++head) {
    for (const KvPart part : kKvParts) {
      for (size_t i = 0; i < head_rows[head].size(); ++i) {
        std::copy_n(all.begin() + shape.FrameOffset(all_rows, head, part, head_rows[head][i]), shape.part_bytes(part),
                    rows.begin() + shape.FrameOffset(num_rows, head, part, i));
      }
    }
  }
}

StateSize SizeOfState(const Content& content, int bits, const std::string& fingerprint, const StepDevice& device) {
  const SegmentHeader header = StateHeader(content, content.prompt_length - 1, fingerprint, device);
  const uint64_t rows = header.positions.size(), rows_per_frame = RowsPerFrame(header.shape);
  const uint64_t frames = (rows + rows_per_frame - 1) / rows_per_frame;
  const uint64_t row_bytes = bits > 0 ? RoundedRowBytes(header.shape, bits, rows) : rows * header.shape.row_bytes();
  return {.rows = rows, .bytes = EncodeSegmentHeader(header).size() + row_bytes + frames * kFrameHeaderBytes};
}

}  // namespace kedge
