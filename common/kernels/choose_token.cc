// What a draw is, DrawInOrder says: sums run in a fixed order with our own exp and log, so that a token does not depend
// on the machine: by id, or by (value, id) where top-k or top-p cut the tail.
//
// A vocabulary is large beside a step of a small model, so that order is not made: one pass adds up the weights by
// pieces of the vocabulary, or by buckets of like values where order is asked for, and only the piece or bucket that
// decides is looked into. Sums in another order are the same up to rounding. Where the draw, or the end of top-p, lies
// so near to a boundary that rounding might decide, which is once in a million draws, the defined order does.
// Tested by choose_token_test.cc.
#include "common/kernels/choose_token.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include "common/kernels/elementary.h"

namespace kedge {
namespace {

constexpr double kNever = 28;  // nats below the best: such a token would come up once in 10^12 draws, and is left out

// Sums of up to a million weights in two orders differ by less than this part of the whole.
constexpr double kSlack = 1e-9;

// Extreme biases and penalties may overflow. What is forbidden stays at minus infinity.
float Bounded(float logit) {
  constexpr float kMost = std::numeric_limits<float>::max();
  return logit < kMost ? logit : kMost;
}

struct Candidate {
  float logit;
  uint32_t id;
};

bool Better(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; }

// In lanes, so that a compiler may take several values at a time.
template <typename T, typename Join>
T Fold(absl::Span<const T> values, T first, Join join) {
  constexpr size_t kLanes = 16;
  std::array<T, kLanes> lanes;
  lanes.fill(first);
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k) lanes[k] = join(lanes[k], values[i + k]);
  }
  for (; i < values.size(); ++i) lanes[0] = join(lanes[0], values[i]);
  for (size_t k = 1; k < kLanes; ++k) lanes[0] = join(lanes[0], lanes[k]);
  return lanes[0];
}

float Best(absl::Span<const float> logits) {
  return Fold(logits, -std::numeric_limits<float>::infinity(), [](float most, float logit) {
    const float bounded = Bounded(logit);
    return bounded > most ? bounded : most;
  });
}

double Sum(absl::Span<const double> values) {
  return Fold(values, 0.0, [](double sum, double value) { return sum + value; });
}

// exp((logit - best) / temperature), in the order of the candidates.
std::vector<double> Weights(absl::Span<const Candidate> candidates, double best, double temperature) {
  std::vector<double> weights(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) weights[i] = (candidates[i].logit - best) / temperature;
  ExpEach(absl::MakeSpan(weights));
  return weights;
}

// What min-p leaves is not below this. The best one always stays.
double LeastLeft(double best, const TokenChoice& choice) {
  return choice.min_p > 0.0f ? std::min(best, best + choice.temperature * LogDouble(choice.min_p))
                             : -std::numeric_limits<double>::infinity();
}

// Finds the step of a running sum that crosses `target`, if rounding cannot have moved it there.
class Crossing {
 public:
  // `begin`: the sum so far.
  Crossing(double begin, double target, double all) : sum_(begin), target_(target), slack_(kSlack * all) {}

  // Whether the sum crosses with this weight.
  bool Add(double weight) {
    const double before = sum_;
    sum_ += weight;
    if (sum_ <= target_) return false;
    is_certain_ = (before == 0 || target_ - before > slack_) && sum_ - target_ > slack_;
    return true;
  }
  bool is_certain() const { return is_certain_; }

 private:
  double sum_;
  const double target_;
  const double slack_;
  bool is_certain_ = false;
};

// One row of logits and what is to be left of it.
class Row {
 public:
  Row(absl::Span<const float> logits, const TokenChoice& choice)
      : logits_(logits), bests_(pieces()), per_logit_(1 / double{choice.temperature}) {
    for (size_t piece = 0; piece < bests_.size(); ++piece) bests_[piece] = Best(Piece(piece));
    best_ = *std::max_element(bests_.begin(), bests_.end());
    least_ = static_cast<float>(best_ - kNever * choice.temperature);
  }

  static constexpr size_t kPiece = 512;
  size_t pieces() const { return (logits_.size() + kPiece - 1) / kPiece; }
  absl::Span<const float> Piece(size_t piece) const { return logits_.subspan(piece * kPiece, kPiece); }
  float PieceBest(size_t piece) const { return bests_[piece]; }

  // The weights of a piece of the vocabulary: 0 of what is below `least`. `out`: of kPiece.
  absl::Span<const double> PieceWeights(size_t piece, double least, double* out) const {
    const absl::Span<const float> logits = Piece(piece);
    for (size_t i = 0; i < logits.size(); ++i) out[i] = (Bounded(logits[i]) - best_) * per_logit_;
    ExpEach(absl::MakeSpan(out, logits.size()));
    for (size_t i = 0; i < logits.size(); ++i) out[i] = Bounded(logits[i]) >= least ? out[i] : 0;
    return {out, logits.size()};
  }

  absl::Span<const float> logits() const { return logits_; }
  double best() const { return best_; }
  double least() const { return least_; }
  double per_logit() const { return per_logit_; }

 private:
  const absl::Span<const float> logits_;
  std::vector<float> bests_;  // [pieces]
  const double per_logit_;
  double best_ = 0;
  float least_ = 0;
};

// A draw over all that is not below `least`.
std::optional<uint32_t> DrawById(const Row& row, double least, double uniform) {
  std::array<double, Row::kPiece> buffer;
  std::vector<double> sums(row.pieces());
  for (size_t piece = 0; piece < sums.size(); ++piece) {
    if (row.PieceBest(piece) >= least) sums[piece] = Sum(row.PieceWeights(piece, least, buffer.data()));
  }
  const double all = Sum(sums);
  const double target = uniform * all;
  double before = 0;
  for (size_t piece = 0; piece < sums.size(); before += sums[piece++]) {
    if (before + sums[piece] <= target) continue;
    Crossing crossing(before, target, all);
    const absl::Span<const double> weights = row.PieceWeights(piece, least, buffer.data());
    for (size_t i = 0; i < weights.size(); ++i) {
      if (!crossing.Add(weights[i])) continue;
      if (!crossing.is_certain()) return std::nullopt;
      return static_cast<uint32_t>(piece * Row::kPiece + i);
    }
    return std::nullopt;
  }
  return std::nullopt;
}

// The candidates in order of (value, id), known by buckets of like values, the best ones first. What top-k, top-p and
// min-p leave is a beginning of that order.
class Ranking {
 public:
  explicit Ranking(const Row& row) : row_(row), buckets_of_(row.logits().size(), kNone) {
    std::array<double, Row::kPiece> buffer;
    for (size_t piece = 0; piece < row.pieces(); ++piece) {
      const absl::Span<const float> logits = row.Piece(piece);
      const absl::Span<const double> weights = row.PieceWeights(piece, row.least(), buffer.data());
      uint16_t* const buckets = &buckets_of_[piece * Row::kPiece];
      for (size_t i = 0; i < logits.size(); ++i) {
        if (Bounded(logits[i]) < row.least()) continue;
        buckets[i] = static_cast<uint16_t>(BucketOf(Bounded(logits[i])));
        mass_[buckets[i]] += weights[i];
        ++count_[buckets[i]];
      }
    }
    beginning_ = {.bucket = kBuckets, .mass = std::accumulate(mass_.begin(), mass_.end(), 0.0)};
  }

  size_t num_candidates() const { return std::accumulate(count_.begin(), count_.end(), size_t{0}); }

  // Each leaves less of the order, or as much. REQUIRES: 0 < k < num_candidates().
  void TakeFirst(size_t k) {
    size_t bucket = 0;
    while (count_[bucket] < k) k -= count_[bucket++];
    CutTo(bucket, k);
  }
  // Returns false where rounding might decide.
  bool TakeShare(double share) {
    const double enough = share * beginning_.mass;
    const std::optional<Place> place = Cross(enough);
    if (!place.has_value()) return false;
    CutTo(place->bucket, place->index + 1);
    return place->is_certain || enough <= 0;
  }
  void TakeDownTo(double least) {
    const size_t bucket = BucketOf(least);
    if (bucket > beginning_.bucket) return;
    const std::vector<Candidate> members = MembersOf(bucket).candidates;
    const auto end =
        std::find_if(members.begin(), members.end(), [least](const Candidate& c) { return c.logit < least; });
    const size_t count = end - members.begin();
    if (bucket < beginning_.bucket || count < beginning_.count) CutTo(bucket, count);
  }

  std::optional<uint32_t> Draw(double uniform) const {
    const std::optional<Place> place = Cross(uniform * beginning_.mass);
    return place.has_value() && place->is_certain ? std::optional(place->id) : std::nullopt;
  }

 private:
  static constexpr size_t kBuckets = 1024;
  static constexpr uint16_t kNone = kBuckets;

  struct Members {
    std::vector<Candidate> candidates;  // in order
    std::vector<double> weights;
  };
  // What is left: all buckets before `bucket`, and the first `count` of its members.
  struct Beginning {
    size_t bucket = 0;
    size_t count = 0;
    double mass = 0;
  };

  // Where the sum of weights, in order, passes a target.
  struct Place {
    size_t bucket = 0;
    size_t index = 0;  // among its members
    uint32_t id = 0;
    bool is_certain = false;
  };
  std::optional<Place> Cross(double target) const {
    double before = 0;
    for (size_t bucket = 0; bucket <= beginning_.bucket && bucket < kBuckets; before += mass_[bucket++]) {
      if (before + mass_[bucket] <= target) continue;
      Crossing crossing(before, target, beginning_.mass);
      const Members members = MembersOf(bucket);
      for (size_t i = 0; i < LeftOf(bucket); ++i) {
        if (crossing.Add(members.weights[i])) {
          return Place{bucket, i, members.candidates[i].id, crossing.is_certain()};
        }
      }
      return std::nullopt;
    }
    return std::nullopt;
  }

  // Never falls where values do not rise.
  size_t BucketOf(double logit) const {
    const double bucket = (row_.best() - logit) * row_.per_logit() * (kBuckets / kNever);
    return static_cast<size_t>(std::min<double>(bucket, kBuckets - 1));
  }

  Members MembersOf(size_t bucket) const {
    Members members;
    for (uint32_t id = 0; id < buckets_of_.size(); ++id) {
      if (buckets_of_[id] == bucket) members.candidates.push_back({Bounded(row_.logits()[id]), id});
    }
    std::sort(members.candidates.begin(), members.candidates.end(), Better);
    members.weights = Weights(members.candidates, row_.best(), 1 / row_.per_logit());
    return members;
  }

  size_t LeftOf(size_t bucket) const { return bucket < beginning_.bucket ? count_[bucket] : beginning_.count; }

  void CutTo(size_t bucket, size_t count) {
    const std::vector<double> weights = MembersOf(bucket).weights;
    beginning_ = {.bucket = bucket, .count = count};
    beginning_.mass = std::accumulate(mass_.begin(), mass_.begin() + bucket, 0.0) +
                      std::accumulate(weights.begin(), weights.begin() + count, 0.0);
  }

  const Row& row_;
  std::vector<uint16_t> buckets_of_;  // [vocabulary]
  std::array<double, kBuckets> mass_{};
  std::array<uint32_t, kBuckets> count_{};
  Beginning beginning_;
};

}  // namespace

// splitmix64 over the three values (Steele et al., 2014).
double UniformOf(const TokenChoice& choice) {
  uint64_t state = choice.seed;
  for (uint64_t value : {choice.completion, choice.position}) {
    state += 0x9e3779b97f4a7c15u * (value + 1);
    state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9u;
    state = (state ^ (state >> 27)) * 0x94d049bb133111ebu;
    state ^= state >> 31;
  }
  return static_cast<double>(state >> 11) * 0x1p-53;
}

uint32_t DrawInOrder(absl::Span<const float> logits, const TokenChoice& choice, double uniform) {
  const double best = Best(logits);
  if (best == -std::numeric_limits<double>::infinity()) return 0;
  const float least = static_cast<float>(best - kNever * choice.temperature);
  std::vector<Candidate> candidates;
  for (uint32_t id = 0; id < logits.size(); ++id) {
    if (Bounded(logits[id]) >= least) candidates.push_back({Bounded(logits[id]), id});
  }
  const bool has_top_k = choice.top_k > 0 && choice.top_k < candidates.size();
  if (has_top_k || choice.top_p < 1.0f) {
    // Without top-k, what top-p is a share of is summed by id.
    const std::vector<double> by_id = Weights(candidates, best, choice.temperature);
    double all = std::accumulate(by_id.begin(), by_id.end(), 0.0);
    std::sort(candidates.begin(), candidates.end(), Better);
    if (has_top_k) candidates.resize(choice.top_k);
    const std::vector<double> weights = Weights(candidates, best, choice.temperature);
    if (has_top_k) all = std::accumulate(weights.begin(), weights.end(), 0.0);
    if (choice.top_p < 1.0f) {
      double sum = 0;
      size_t count = 0;
      while (count < weights.size() && sum < choice.top_p * all) sum += weights[count++];
      candidates.resize(std::max<size_t>(count, 1));
    }
  }
  const double least_left = LeastLeft(best, choice);
  std::erase_if(candidates, [&](const Candidate& candidate) { return candidate.logit < least_left; });
  const std::vector<double> weights = Weights(candidates, best, choice.temperature);
  double target = uniform * std::accumulate(weights.begin(), weights.end(), 0.0);
  for (size_t i = 0; i + 1 < weights.size(); ++i) {
    target -= weights[i];
    if (target < 0) return candidates[i].id;
  }
  return candidates.back().id;
}

std::optional<uint32_t> DrawWithoutOrder(absl::Span<const float> logits, const TokenChoice& choice, double uniform) {
  const Row row(logits, choice);
  if (row.best() == -std::numeric_limits<double>::infinity()) return 0;
  const double least_left = LeastLeft(row.best(), choice);
  if (choice.top_k > 0 || choice.top_p < 1.0f) {
    Ranking ranking(row);
    const bool has_top_k = choice.top_k > 0 && choice.top_k < ranking.num_candidates();
    if (has_top_k) ranking.TakeFirst(choice.top_k);
    if (choice.top_p < 1.0f && !ranking.TakeShare(choice.top_p)) return std::nullopt;
    if (choice.min_p > 0.0f) ranking.TakeDownTo(least_left);
    if (has_top_k || choice.top_p < 1.0f) return ranking.Draw(uniform);
  }
  return DrawById(row, std::max(row.least(), least_left), uniform);
}

uint32_t ChooseToken(absl::Span<const float> logits, const TokenChoice& choice) {
  if (choice.temperature > 0.0f) {
    const double uniform = UniformOf(choice);
    const std::optional<uint32_t> token = DrawWithoutOrder(logits, choice, uniform);
    return token.has_value() ? *token : DrawInOrder(logits, choice, uniform);
  }
  const float best = Best(logits);
  return static_cast<uint32_t>(
      std::find_if(logits.begin(), logits.end(), [best](float logit) { return Bounded(logit) == best; }) -
      logits.begin());  // the first of equals
}

}  // namespace kedge
