// Tested by known_answers_test.cc and, inside engines, by tests/simulation_test.cc.
#include "common/engine/known_answers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "xxhash.h"

namespace kedge {
namespace {

constexpr char kNoNumber[] = "no number";

}  // namespace

void KnownAnswers::Add(std::vector<uint32_t> ids, Answered answered) {
  if (ids.size() > kMostIds) {
    return answered(absl::InvalidArgumentError(absl::StrCat("ids: ", ids.size(), " are more than ", kMostIds)));
  }
  const auto size = static_cast<uint32_t>(ids.size());
  Content content{.ids = std::move(ids), .prompt_length = size, .policy = {.recent = Policy::kAll}};
  if (absl::Status status = CheckContent(content, device_->vocab_size(), context_length_); !status.ok()) {
    return answered(std::move(status));
  }
  const uint32_t pages = PagesFor(content, 0, device_->max_rows(), 0);
  if (pages > pool_->num_pages() || questions_.size() == kMostQuestions) {
    return answered(absl::ResourceExhaustedError("known answers: no room for a further question"));
  }
  questions_.push_back({.content = std::move(content), .pages = pages, .answered = std::move(answered)});
}

void KnownAnswers::AddSlice(uint32_t rows, std::vector<Slice>* slices) {
  if (questions_.empty() || rows == 0) return;
  Question& question = questions_.front();
  if (question.sequence == nullptr) {
    absl::StatusOr<PageLease> lease = pool_->Reserve(question.pages);
    if (!lease.ok()) return;  // requests come first
    question.sequence = std::make_unique<Sequence>(question.content, *std::move(lease));
  }
  const uint32_t count = std::min(rows, question.sequence->ready());
  if (count > 0) slices->push_back({.sequence = question.sequence.get(), .rows = count, .request = kRequest});
}

void KnownAnswers::Settle(const StepUnderWay& step, const StepUnderWay::Part& part, const absl::Status& status) {
  if (questions_.empty() || questions_.front().sequence == nullptr) return;  // it has ended with an error
  Question& question = questions_.front();
  if (!status.ok()) return End(status);
  // A model may give what is no number for some token: other nodes find that, too.
  if (!SettlePart(step, part, question.sequence.get(), device_).ok()) return End(std::string(kNoNumber));
  if (part.output.has_value()) {
    const absl::Span<const float> logits = step.future->Logits(*part.output);
    question.logits.assign(logits.begin(), logits.end());
  }
  const auto size = static_cast<uint32_t>(question.content.ids.size());
  if (question.sequence->computed() < size) return;
  question.rows = device_->NewRowBuffer(size * device_->row_shape().row_bytes());
  question.copy = device_->ReadRows(question.sequence->StateRows({.end = size}, 0, size), question.rows);
}

void KnownAnswers::Finish(bool wait) {
  if (questions_.empty() || questions_.front().copy == nullptr) return;
  const Question& question = questions_.front();
  if (!wait && !question.copy->Ready()) return;
  if (absl::Status status = question.copy->Wait(); !status.ok()) return End(std::move(status));
  const uint64_t of_logits = XXH3_64bits(question.logits.data(), question.logits.size() * sizeof(float));
  XXH128_canonical_t hash;
  XXH128_canonicalFromHash(
      &hash, XXH3_128bits_withSeed(question.rows.bytes.data(), question.rows.bytes.size(), of_logits));
  End(std::string(reinterpret_cast<const char*>(hash.digest), sizeof(hash.digest)));
}

bool KnownAnswers::HasWork() const {
  if (questions_.empty()) return false;
  const Question& question = questions_.front();
  return question.sequence != nullptr || question.pages <= pool_->num_free();
}

void KnownAnswers::End(absl::StatusOr<std::string> answer) {
  const Answered answered = std::move(questions_.front().answered);
  questions_.pop_front();
  answered(std::move(answer));
}

}  // namespace kedge
