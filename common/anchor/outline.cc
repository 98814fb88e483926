// Tested by outline_test.cc.
#include "common/anchor/outline.h"

#include <algorithm>

#include "common/anchor/tracker.h"
#include "common/base/check.h"

namespace kedge {
namespace {

constexpr uint32_t kLeastQuestion = 4;  // rows; marks that stand closer to the one before are one question's

// Of the chat's last message, beyond the first one.
uint32_t FurtherQuestions(const Content& content) {
  uint32_t questions = 0, last = 0;
  for (const uint32_t mark : content.question_marks) {
    if (mark < content.turn_begin) continue;
    if (questions == 0 || mark >= last + kLeastQuestion) ++questions;
    last = mark;
  }
  return std::min(std::max(questions, 1u), kMostAsked) - 1;
}

}  // namespace

uint32_t PromptOutline::Charge(const PositionRange& range) const {
  return static_cast<uint32_t>(std::count(kept.begin() + range.begin, kept.begin() + range.end, false));
}

PromptOutline OutlinePrompt(const Content& content) {
  KEDGE_CHECK(content.prompt_length >= 1 && content.prompt_length <= content.ids.size() + 1);
  const uint32_t end = content.prompt_length - 1;
  Content unchosen = content;
  unchosen.salient.reset();
  PromptOutline outline;
  AnchorTracker tracker(&unchosen);
  uint32_t begin = 0;
  while (tracker.position() < end) {
    const RowRule rule = tracker.Next();
    if (!rule.closes) continue;
    outline.sequences.push_back({begin, rule.position + 1});
    begin = rule.position + 1;
  }
  if (begin < end) outline.sequences.push_back({begin, end});
  if (tracker.reduces_next()) tracker.Reduce();
  outline.window_begin = tracker.next_recent_begin();
  outline.kept.resize(end);
  for (uint32_t position : tracker.kept_positions()) outline.kept[position] = true;
  std::fill(outline.kept.begin() + outline.window_begin, outline.kept.end(), true);
  return outline;
}

RowBudget SalientBudget(const Content& content) {
  const Policy& policy = content.policy;
  if (policy.salient_millionths == 0) return {};
  const uint32_t further = kRowsOfAQuestion * FurtherQuestions(content);
  const auto rows = [&](uint32_t millionths) {
    const uint64_t share = uint64_t{content.prompt_length} * millionths / 1000000;
    return further + std::max(kLeastSalientRows, static_cast<uint32_t>(share));
  };
  const uint32_t least = rows(policy.salient_millionths);
  return {.least = least, .most = std::max(least, rows(policy.most_salient_millionths))};
}

uint32_t AdaptiveRows(const Content& content) {
  const RowBudget budget = SalientBudget(content);
  if (budget.most == budget.least || !content.salient.has_value()) return 0;
  const PromptOutline outline = OutlinePrompt(content);
  uint32_t charged = 0;
  for (const PositionRange& range : *content.salient) charged += outline.Charge(range);
  return charged - std::min(charged, budget.least);
}

}  // namespace kedge
