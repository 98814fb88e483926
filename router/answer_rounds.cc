// Tested by answer_rounds_test.cc, and with real nodes by tests/identity_test.py.
#include "router/answer_rounds.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "spdlog/spdlog.h"

namespace kedge {

std::optional<std::string> RightAnswer(absl::Span<const NodeAnswer> answers) {
  std::map<std::string, int> votes;
  for (const NodeAnswer& answer : answers) votes[answer.hash] += answer.confirmed ? 2 : 1;
  std::optional<std::string> right;
  int most = 0;
  for (const auto& [hash, count] : votes) {
    if (count == most) right = std::nullopt;
    if (count > most) right = hash;
    most = std::max(most, count);
  }
  return right;
}

AnswerRounds::AnswerRounds(const AnswerRoundsOptions& options, const Clock* clock, NodeRegistry* registry,
                           NodeAsker* asker, std::function<uint64_t()> draw)
    : options_(options), clock_(clock), registry_(registry), asker_(asker), draw_(std::move(draw)) {}

void AnswerRounds::BeginRound(absl::Time now) {
  ++round_;
  round_began_ = now;
  ids_.clear();
  for (uint32_t i = 0; i < kIds; ++i) ids_.push_back(static_cast<uint32_t>(draw_() % options_.vocab_size));
  for (auto& [registration, node] : nodes_) {
    node.answer.hash.clear();
    node.asking = false;  // what is still on its way is an answer to other ids
    node.retry_at = absl::InfinitePast();
  }
}

void AnswerRounds::Turn() {
  const ClusterSnapshot cluster = registry_->Snapshot();
  std::vector<NodeSnapshot> to_ask;
  std::vector<uint32_t> ids;
  uint64_t round = 0;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Time now = clock_->Now();
    if (round_ == 0 || now - round_began_ >= options_.period) BeginRound(now);
    std::map<uint64_t, Node> nodes;
    for (const NodeSnapshot& listed : cluster.nodes) {
      Node& node = nodes[listed.registration] = std::move(nodes_[listed.registration]);
      node.node_id = listed.node_id;
      node.numerics_class = listed.numerics_class;
      if (node.asking || node.out || !node.answer.hash.empty() || now < node.retry_at) continue;
      node.asking = true;
      to_ask.push_back(listed);
    }
    nodes_ = std::move(nodes);
    ids = ids_;
    round = round_;
  }
  for (const NodeSnapshot& node : to_ask) {
    asker_->Ask(node, ids, [this, registration = node.registration, round](absl::StatusOr<std::string> answer) {
      Take(registration, round, answer);
    });
  }
}

void AnswerRounds::Take(uint64_t registration, uint64_t round, const absl::StatusOr<std::string>& answer) {
  absl::MutexLock lock(&mutex_);
  const auto found = nodes_.find(registration);
  if (found == nodes_.end() || round != round_) return;
  Node& node = found->second;
  node.asking = false;
  if (!answer.ok() || answer->empty()) {
    node.retry_at = clock_->Now() + options_.retry;
    const std::string why = answer.ok() ? "it is empty" : answer.status().ToString();
    if (!node.has_answered) registry_->SetOut(registration, OutBy::kAnswer, absl::StrCat("its known answer: ", why));
    spdlog::warn("known answer of node {}: {}", node.node_id, why);
    return;
  }
  node.has_answered = true;
  node.answer.hash = *answer;
  Judge(node.numerics_class);
}

void AnswerRounds::Judge(const std::string& numerics_class) {
  std::vector<NodeAnswer> answers;
  for (const auto& [registration, node] : nodes_) {
    if (node.numerics_class == numerics_class && !node.answer.hash.empty()) answers.push_back(node.answer);
  }
  const std::optional<std::string> right = RightAnswer(answers);
  const auto agreeing = std::count_if(answers.begin(), answers.end(),
                                      [&](const NodeAnswer& answer) { return answer.hash == right; });
  for (auto& [registration, node] : nodes_) {
    if (node.numerics_class != numerics_class || node.answer.hash.empty()) continue;
    if (node.answer.hash == right) {
      node.out = false;
      node.answer.confirmed |= agreeing > 1;
      registry_->SetOut(registration, OutBy::kAnswer, "");
      continue;
    }
    std::vector<std::string> others;
    for (const auto& [other, judged] : nodes_) {
      if (judged.numerics_class == numerics_class && !judged.answer.hash.empty() &&
          judged.answer.hash != node.answer.hash) {
        others.push_back(judged.node_id);
      }
    }
    const std::string why =
        absl::StrCat("its answer to ", kIds, " random ids is not that of ", absl::StrJoin(others, ", "),
                     right.has_value() ? "" : ", and which one is right is undecided");
    if (!std::exchange(node.out, true)) spdlog::error("node {} is out of placement: {}", node.node_id, why);
    node.answer.confirmed = false;
    registry_->SetOut(registration, OutBy::kAnswer, why);
  }
}

}  // namespace kedge
