// Ranks follow the rule by which sequences are chosen (salience.h): ties go to the earlier sequence, and one without
// mass is never chosen, which counts as no rank at all.
//
// Reciprocal ranks, and not mass, because heads differ in how much of their mass they leave on the first row. Forms
// have equal weight, so that heads which read tables count as much as those which read sentences. Attention decides
// among equals: where the question is the last thing said, every head that merely looks nearby finds it, but gives it
// little.
//
// Tested by head_ranking_test.cc.
#include "eval/head_ranking.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

namespace kedge {
namespace {

constexpr size_t kPointers = 1;
constexpr size_t kRetrieval = 4;

double ReciprocalRank(absl::Span<const uint32_t> sums, size_t right, absl::Span<const size_t> rivals) {
  if (sums[right] == 0) return 0;
  const auto goes_first = [&](size_t rival) {
    return sums[rival] > sums[right] || (sums[rival] == sums[right] && rival < right);
  };
  return 1.0 / (1.0 + static_cast<double>(std::count_if(rivals.begin(), rivals.end(), goes_first)));
}

// Of one head in one prompt.
struct Found {
  double rank = 0;
  double attention = 0;
};

// Both return nothing where the prompt does not count.
std::optional<Found> FindFacts(const KnownSequences& known, absl::Span<const uint32_t> sums) {
  if (known.facts.empty()) return std::nullopt;
  const double share = 1.0 / static_cast<double>(known.facts.size());
  Found found;
  for (size_t fact : known.facts) {
    found.rank += share * ReciprocalRank(sums, fact, known.rivals);
    found.attention += share * sums[fact] / kMassOne;
  }
  return found;
}

std::optional<Found> FindQuestion(const KnownSequences& known, absl::Span<const uint32_t> sums) {
  const size_t end = known.last_may_ask ? known.count : known.count - std::min<size_t>(known.count, 1);
  std::vector<size_t> may_ask(end > 1 ? end - 1 : 0);
  std::iota(may_ask.begin(), may_ask.end(), size_t{1});
  std::optional<Found> found;
  for (size_t sequence : known.question) {
    if (sequence == 0 || sequence >= end) continue;
    if (!found.has_value()) found.emplace();
    found->rank = std::max(found->rank, ReciprocalRank(sums, sequence, may_ask));
    found->attention = std::max(found->attention, static_cast<double>(sums[sequence]) / kMassOne);
  }
  return found;
}

using FindRight = std::optional<Found> (*)(const KnownSequences& known, absl::Span<const uint32_t> sums);

std::vector<HeadRank> RankBy(FindRight find, std::vector<uint32_t> ObservedPrompt::*sums,
                             absl::Span<const HeadRef> heads, absl::Span<const ObservedPrompt> prompts) {
  struct Sum {
    Found found;
    size_t count = 0;
  };
  std::vector<HeadRank> ranks;
  for (size_t head = 0; head < heads.size(); ++head) {
    std::map<std::string, Sum> forms;
    for (const ObservedPrompt& prompt : prompts) {
      const size_t count = prompt.known.count;
      const std::optional<Found> found =
          find(prompt.known, absl::MakeConstSpan(prompt.*sums).subspan(head * count, count));
      if (!found.has_value()) continue;
      Sum& sum = forms[prompt.form];
      sum.found.rank += found->rank;
      sum.found.attention += found->attention;
      ++sum.count;
    }
    HeadRank& made = ranks.emplace_back(HeadRank{.head = heads[head]});
    for (const auto& [form, sum] : forms) {
      const double parts = static_cast<double>(sum.count * forms.size());
      made.rank += sum.found.rank / parts;
      made.attention += sum.found.attention / parts;
    }
  }
  std::stable_sort(ranks.begin(), ranks.end(), [](const HeadRank& a, const HeadRank& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.attention > b.attention;
  });
  return ranks;
}

std::vector<HeadRef> Best(absl::Span<const HeadRank> ranks, size_t count) {
  std::vector<HeadRef> best;
  for (const HeadRank& rank : ranks) {
    if (best.size() < count && rank.rank > 0) best.push_back(rank.head);
  }
  return best;
}

}  // namespace

HeadRanking RankHeads(absl::Span<const HeadRef> heads, absl::Span<const ObservedPrompt> prompts) {
  return {.retrieval = RankBy(FindFacts, &ObservedPrompt::from_question, heads, prompts),
          .pointers = RankBy(FindQuestion, &ObservedPrompt::from_end, heads, prompts)};
}

SalienceHeads BestHeads(const HeadRanking& ranking) {
  return {.pointers = Best(ranking.pointers, kPointers), .retrieval = Best(ranking.retrieval, kRetrieval)};
}

}  // namespace kedge
