// In double with functions of our own: these numbers turn every key, and another C library must not turn them
// otherwise.
//
// Tested by rope_test.cc, and against another implementation by transformer_test.cc.
#include "common/model/rope.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/kernels/elementary.h"

namespace kedge {
namespace {

constexpr double kPi = 3.14159265358979323846;
// Beyond what any model has, and within what all functions here take.
constexpr double kSmallest = 1e-15;
constexpr double kLargest = 1e15;

// The number that `key` holds, or `otherwise` where it is absent.
absl::StatusOr<double> OptionalPositive(const GgufFile& file, const std::string& key, double otherwise) {
  if (!file.Has(key)) return otherwise;
  KEDGE_ASSIGN_OR_RETURN(const double value, file.GetFloat(key));
  if (!(value >= kSmallest && value <= kLargest)) {
    return KeyError(file, key,
                    absl::StrCat("must be positive and finite (", kSmallest, " to ", kLargest, "), found ", value));
  }
  return value;
}

// Of rope.scaling.factor, or its older name. 0 means none, as 1 does.
absl::StatusOr<double> ScalingFactor(const GgufFile& file, const std::string& prefix) {
  for (const std::string& key : {prefix + "scaling.factor", prefix + "scale_linear"}) {
    if (!file.Has(key)) continue;
    KEDGE_ASSIGN_OR_RETURN(const double factor, file.GetFloat(key));
    if (factor == 0) return 1;
    return OptionalPositive(file, key, 1);
  }
  return 1;
}

absl::StatusOr<RopeScaling> LoadScaling(const GgufFile& file, const std::string& prefix, int context_length) {
  const std::string type_key = prefix + "scaling.type";
  std::string type = "linear";  // what a factor without a type means
  if (file.Has(type_key)) {
    KEDGE_ASSIGN_OR_RETURN(type, file.GetString(type_key));
  }
  if (type != "none" && type != "linear" && type != "yarn") {
    return KeyError(file, type_key,
                    absl::StrCat("'", absl::CHexEscape(type),
                                 "' is not supported; supported: none, linear, yarn, and "
                                 "factors in tensor rope_freqs.weight"));
  }
  RopeScaling scaling;
  KEDGE_ASSIGN_OR_RETURN(scaling.factor, ScalingFactor(file, prefix));
  if (type == "none" || scaling.factor == 1) return RopeScaling{};
  if (type == "linear") {
    scaling.type = RopeScaling::Type::kLinear;
    return scaling;
  }
  scaling.type = RopeScaling::Type::kYarn;
  KEDGE_ASSIGN_OR_RETURN(scaling.original_context,
                         OptionalPositive(file, prefix + "scaling.original_context_length", context_length));
  const std::string fast_key = prefix + "scaling.yarn_beta_fast";
  const std::string slow_key = prefix + "scaling.yarn_beta_slow";
  KEDGE_ASSIGN_OR_RETURN(scaling.beta_fast, OptionalPositive(file, fast_key, scaling.beta_fast));
  KEDGE_ASSIGN_OR_RETURN(scaling.beta_slow, OptionalPositive(file, slow_key, scaling.beta_slow));
  if (scaling.beta_slow > scaling.beta_fast) {
    return KeyError(
        file, slow_key,
        absl::StrCat("must be at most that of ", fast_key, ", ", scaling.beta_fast, "; found ", scaling.beta_slow));
  }
  return scaling;
}

// The pair that turns `turns` times within the original context, as a real number.
double PairThatTurns(const RopeConfig& config, double turns) {
  return config.dim * LogDouble(config.scaling.original_context / (turns * 2 * kPi)) /
         (2 * LogDouble(config.freq_base));
}

// Which share of its own frequency each pair keeps under YaRN, from 1 (fast) to 0 (slow).
std::vector<double> KeptShares(const RopeConfig& config) {
  const double low = std::max(0.0, std::floor(PairThatTurns(config, config.scaling.beta_fast)));
  const double high = std::min(config.dim - 1.0, std::ceil(PairThatTurns(config, config.scaling.beta_slow)));
  const double width = std::max(high - low, 0.001);
  std::vector<double> shares(config.dim / 2);
  for (size_t i = 0; i < shares.size(); ++i) {
    shares[i] = 1 - std::min(1.0, std::max(0.0, (static_cast<double>(i) - low) / width));
  }
  return shares;
}

}  // namespace

std::string RopeScalingText(const RopeScaling& scaling) {
  switch (scaling.type) {
    case RopeScaling::Type::kNone:
      return "none";
    case RopeScaling::Type::kLinear:
      return absl::StrCat("linear by ", scaling.factor);
    case RopeScaling::Type::kYarn:
      return absl::StrCat("yarn by ", scaling.factor, " from ", scaling.original_context);
  }
  KEDGE_CHECK(false);
}

absl::StatusOr<RopeConfig> LoadRope(const GgufFile& file, const std::string& architecture, int head_dim,
                                    int context_length) {
  const std::string prefix = architecture + ".rope.";
  const std::string dim_key = prefix + "dimension_count";
  const std::string base_key = prefix + "freq_base";
  RopeConfig config;
  config.dim = head_dim;
  if (file.Has(dim_key)) {
    KEDGE_ASSIGN_OR_RETURN(const int64_t dim, file.GetInt(dim_key));
    if (dim < 2 || dim % 2 != 0 || dim > head_dim) {
      return KeyError(file, dim_key, absl::StrCat("must be even, from 2 to the head size ", head_dim, ", found ", dim));
    }
    config.dim = static_cast<int>(dim);
  }
  KEDGE_ASSIGN_OR_RETURN(config.freq_base, OptionalPositive(file, base_key, config.freq_base));
  KEDGE_ASSIGN_OR_RETURN(config.scaling, LoadScaling(file, prefix, context_length));
  KEDGE_ASSIGN_OR_RETURN(config.attention_factor, OptionalPositive(file, prefix + "scaling.attn_factor", 1));
  if (config.scaling.type == RopeScaling::Type::kYarn && config.freq_base <= 1) {
    return KeyError(file, base_key, absl::StrCat("must be above 1 with YaRN, found ", config.freq_base));
  }
  return config;
}

RopeTable MakeRopeTable(const RopeConfig& config, absl::Span<const float> factors) {
  const size_t pairs = config.dim / 2;
  KEDGE_CHECK(factors.empty() || factors.size() == pairs);
  const bool is_yarn = config.scaling.type == RopeScaling::Type::kYarn;
  const std::vector<double> kept = is_yarn ? KeptShares(config) : std::vector<double>(pairs, 0.0);
  const double log_base = LogDouble(config.freq_base);
  RopeTable table;
  for (size_t i = 0; i < pairs; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / config.dim;
    const double own = ExpDouble(exponent * log_base) / (factors.empty() ? 1.0f : factors[i]);
    const double divided = own / config.scaling.factor;
    table.inverse_frequencies.push_back(static_cast<float>(divided * (1 - kept[i]) + own * kept[i]));
  }
  // Longer contexts make attention flatter; YaRN sharpens it again.
  const double factor = config.scaling.factor;
  const double yarn_factor = is_yarn && factor > 1 ? 1 + 0.1 * LogDouble(factor) : 1;
  table.magnitude = static_cast<float>(config.attention_factor * yarn_factor);
  return table;
}

}  // namespace kedge
