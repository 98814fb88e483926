// Tested by baselines_test.cc.
#include "eval/baselines.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/anchor/outline.h"
#include "common/base/status.h"
#include "eval/bm25.h"
#include "xxhash.h"

namespace kedge {
namespace {

constexpr uint32_t kQueryRows = 48;  // of the last message's beginning, and of its end, where no question is known

struct Baseline {
  absl::string_view name;
  RowChoice rows;
  int bits;
};
constexpr Baseline kBaselines[] = {{"random", RowChoice::kRandom, 0}, {"bm25", RowChoice::kBm25, 0},
                                   {"oracle", RowChoice::kOracle, 0}, {"streaming", RowChoice::kStreaming, 0},
                                   {"snapkv", RowChoice::kSnapKv, 0}, {"chunkkv", RowChoice::kChunkKv, 0},
                                   {"kvzip", RowChoice::kKvZip, 0},   {"int8", RowChoice::kOwn, 8},
                                   {"int4", RowChoice::kOwn, 4},      {"int2", RowChoice::kOwn, 2}};

std::vector<size_t> InRandomOrder(const Content& content, size_t count) {
  std::mt19937_64 random(XXH3_64bits(content.ids.data(), content.ids.size() * sizeof(uint32_t)));
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  // (std::shuffle is not the same everywhere.)
  for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  return order;
}

std::string TextOfRange(const Content& content, const PositionRange& range, const TextOf& text_of) {
  return text_of(absl::MakeConstSpan(content.ids).subspan(range.begin, range.end - range.begin));
}

// The question, with the beginning of its sentence; or the last message's beginning and end, where one may stand.
std::string QueryOf(const Content& content, absl::Span<const PositionRange> sequences, uint32_t own_begin,
                    const TextOf& text_of) {
  const uint32_t begin = content.turn_begin, end = content.prompt_length;
  if (own_begin + 1 < end) {
    const auto sentence = std::find_if(sequences.begin(), sequences.end(),
                                       [&](const PositionRange& sequence) { return own_begin < sequence.end; });
    return TextOfRange(content, {sentence->begin, end}, text_of);
  }
  const uint32_t begun = std::min(end, begin + kQueryRows), last = std::max(begun, end - std::min(end, kQueryRows));
  return absl::StrCat(TextOfRange(content, {begin, begun}, text_of), " ", TextOfRange(content, {last, end}, text_of));
}

std::vector<size_t> InOrderOfWords(const Content& content, absl::Span<const PositionRange> sequences,
                                   uint32_t own_begin, const TextOf& text_of) {
  std::vector<std::string> texts;
  for (const PositionRange& sequence : sequences) texts.push_back(TextOfRange(content, sequence, text_of));
  return RankByBm25(texts, QueryOf(content, sequences, own_begin, text_of));
}

// First the sequences that overlap with `first`, then those that overlap with `second`.
std::vector<size_t> Overlapping(absl::Span<const PositionRange> sequences, absl::Span<const PositionRange> first,
                                absl::Span<const PositionRange> second) {
  std::vector<size_t> order;
  for (absl::Span<const PositionRange> wanted : {first, second}) {
    for (size_t i = 0; i < sequences.size(); ++i) {
      if (Overlaps(sequences[i], wanted) && std::find(order.begin(), order.end(), i) == order.end()) order.push_back(i);
    }
  }
  return order;
}

// The latest `budget` rows that nothing else keeps.
std::vector<PositionRange> LatestRows(const PromptOutline& outline, uint32_t budget) {
  uint32_t begin = outline.window_begin;
  for (; begin > 0 && budget > 0; --begin) budget -= !outline.kept[begin - 1];
  if (begin == outline.window_begin) return {};
  return {{begin, outline.window_begin}};
}

// Whole sequences in this order, as many as there is room for.
std::vector<PositionRange> Fill(const PromptOutline& outline, absl::Span<const size_t> order, uint32_t budget) {
  std::vector<PositionRange> chosen;
  for (size_t i : order) {
    const PositionRange& sequence = outline.sequences[i];
    const uint32_t charge = outline.Charge(sequence);
    if (charge == 0 || charge > budget) continue;  // a smaller one may still fit
    budget -= charge;
    chosen.push_back(sequence);
  }
  return UnionOf(std::move(chosen));
}

}  // namespace

std::string EvalPolicy::Canonical() const {
  const auto baseline = std::find_if(std::begin(kBaselines), std::end(kBaselines),
                                     [&](const Baseline& other) { return other.rows == rows && other.bits == bits; });
  const std::string canonical = CanonicalPolicy(policy);
  return baseline == std::end(kBaselines) ? canonical : absl::StrCat(canonical, "@", baseline->name);
}

absl::StatusOr<EvalPolicy> ParseEvalPolicy(absl::string_view text, const PolicyNames& names) {
  EvalPolicy parsed{.text = std::string(text)};
  const size_t at = text.find('@');
  KEDGE_ASSIGN_OR_RETURN(parsed.policy, ParsePolicy(text.substr(0, at), names));
  if (at == text.npos) return parsed;
  const absl::string_view name = text.substr(at + 1);
  const auto baseline = std::find_if(std::begin(kBaselines), std::end(kBaselines),
                                     [&](const Baseline& other) { return other.name == name; });
  if (baseline == std::end(kBaselines)) {
    return absl::InvalidArgumentError(absl::StrCat("\"@", name, "\" is no baseline: ", kBaselineHelp));
  }
  if (baseline->rows != RowChoice::kOwn && parsed.policy.salient_millionths == 0) {
    return absl::InvalidArgumentError(absl::StrCat("\"@", name, "\" needs a policy that chooses rows (salient=F)"));
  }
  parsed.rows = baseline->rows;
  parsed.bits = baseline->bits;
  return parsed;
}

std::vector<PositionRange> ChooseRows(RowChoice rows, const Content& content, const KnownRows& known,
                                      const TextOf& text_of) {
  const std::vector<PositionRange>& own = *content.salient;
  if (rows == RowChoice::kOwn) return own;
  const PromptOutline outline = OutlinePrompt(content);
  uint32_t budget = 0;
  for (const PositionRange& range : own) budget += outline.Charge(range);
  switch (rows) {
    case RowChoice::kRandom:
      return Fill(outline, InRandomOrder(content, outline.sequences.size()), budget);
    case RowChoice::kBm25:
      return Fill(outline, InOrderOfWords(content, outline.sequences, known.own_begin, text_of), budget);
    case RowChoice::kOracle:
      return Fill(outline, Overlapping(outline.sequences, known.evidence, own), budget);
    default:
      return LatestRows(outline, budget);
  }
}

}  // namespace kedge
