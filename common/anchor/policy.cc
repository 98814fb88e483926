// The text form of a policy. A preset is nothing but other policy text: its keys and the caller's are merged first, and
// only the values that remain are read, so that a later key really replaces what a preset says. Reading goes in two
// passes: syntax of every value, then whether the combination makes sense.
// Tested by policy_test.cc.
#include "common/anchor/policy.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "common/base/status.h"

namespace kedge {
namespace {

// A canonical policy travels in every segment header; FORMAT.md bounds it by this.
constexpr size_t kMaxAnchorIds = 65536;

// In canonical order.
enum Key { kAnchors, kInsert, kLongest, kKeep, kSinks, kRecent, kView, kPrefill, kSalient, kWrite, kNumKeys };
constexpr absl::string_view kKeyNames[kNumKeys] = {"anchors", "insert", "longest", "keep",    "sinks",
                                                   "recent",  "view",   "prefill", "salient", "write"};

// Ids that the vocabulary names.
constexpr absl::string_view kSentence = "sentence";
constexpr absl::string_view kSeparators = "separators";

// The text of a prompt says where its sequences end.
constexpr absl::string_view kText = "text";

// What the model was trained with; a value of presets alone.
constexpr absl::string_view kTrained = "trained";

struct Preset {
  absl::string_view name;
  absl::string_view text;
};
constexpr Preset kPresets[] = {
    {"full", "recent=all"},
    {"anllm-ep", "anchors=trained"},
    {"anllm-ac", "anchors=trained,insert=trained"},
    {"streaming", "anchors=none,sinks=4,recent=128"},
    {"sep", "anchors=separators,longest=512,sinks=4,recent=128,view=all"},
    {"window", "anchors=sentence,longest=512,sinks=4,recent=128,view=all"},
    {"salient", "anchors=text,longest=48,keep=none,sinks=4,recent=32,view=all,prefill=full,salient=0.13,write=full"},
};

std::vector<absl::string_view> PresetNames() {
  std::vector<absl::string_view> names;
  for (const Preset& preset : kPresets) names.push_back(preset.name);
  return names;
}

// One key's value and where it comes from, for messages.
struct Setting {
  absl::string_view value;
  bool from_preset = false;
};
// nullopt: the default of the key.
using Settings = std::optional<Setting>[kNumKeys];

// Outside text in a message: short, printable, valid UTF-8.
std::string Quote(absl::string_view text) {
  constexpr size_t kLongest = 40;
  if (text.size() <= kLongest) return absl::StrCat("\"", absl::CHexEscape(text), "\"");
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kLongest)), "...\"");
}

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);  // distances of a[0, i) to every b[0, j)
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row[b.size()];
}

// "; did you mean "x"? known are a, b, c". No guess for what is far from every name.
std::string KnownNames(absl::string_view misspelt, absl::Span<const absl::string_view> known) {
  const std::string list = absl::StrCat("known are ", absl::StrJoin(known, ", "));
  if (misspelt.size() > 32) return absl::StrCat("; ", list);
  absl::string_view nearest;
  size_t distance = SIZE_MAX;
  for (absl::string_view name : known) {
    if (const size_t d = EditDistance(misspelt, name); d < distance) {
      distance = d;
      nearest = name;
    }
  }
  if (distance > std::max<size_t>(2, nearest.size() / 2)) return absl::StrCat("; ", list);
  return absl::StrCat("; did you mean \"", nearest, "\"? ", list);
}

template <typename... Parts>
absl::Status Invalid(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat("policy: ", parts...));
}

absl::StatusOr<uint32_t> ReadNumber(absl::string_view key, absl::string_view value) {
  if (value.empty() || !std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return Invalid(key, ": ", Quote(value), " is not a whole number of 0 or more");
  }
  uint32_t number = 0;
  if (!absl::SimpleAtoi(value, &number)) return Invalid(key, ": ", Quote(value), " is above 4294967295");
  return number;
}

absl::StatusOr<uint32_t> ReadTokenId(absl::string_view key, absl::string_view value, const PolicyNames& names) {
  KEDGE_ASSIGN_OR_RETURN(const uint32_t id, ReadNumber(key, value));
  if (names.vocab_size != 0 && id >= names.vocab_size) {
    return Invalid(key, ": token id ", id, " is not below the vocabulary's size, ", names.vocab_size);
  }
  return id;
}

// Which of two values a key has: true for `first`, which is also the default.
absl::StatusOr<bool> ReadChoice(const Settings& settings, Key key, absl::string_view first, absl::string_view second) {
  if (!settings[key].has_value() || settings[key]->value == first) return true;
  const absl::string_view value = settings[key]->value;
  if (value == second) return false;
  return Invalid(kKeyNames[key], ": unknown value ", Quote(value), KnownNames(value, {first, second}));
}

absl::StatusOr<uint32_t> ReadCount(const Settings& settings, Key key) {
  if (!settings[key].has_value()) return 0;
  return ReadNumber(kKeyNames[key], settings[key]->value);
}

// A decimal number from 0 to 1 in millionths, so that what follows from it is exact on every machine.
absl::StatusOr<uint32_t> ReadShare(absl::string_view value) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(value, absl::MaxSplits('.', 1));
  const bool digits_only =
      std::all_of(value.begin(), value.end(), [](char c) { return c == '.' || ('0' <= c && c <= '9'); });
  uint32_t whole = 0;
  uint32_t millionths = 0;
  std::string decimals(parts.second);
  decimals.resize(std::max<size_t>(decimals.size(), 6), '0');
  if (!digits_only || decimals.size() > 6 || !absl::SimpleAtoi(parts.first, &whole) ||
      !absl::SimpleAtoi(decimals, &millionths) || whole > 1 || (whole == 1 && millionths > 0)) {
    return Invalid("salient: ", Quote(value), " is not a number from 0 to 1 with at most six decimals");
  }
  return whole * 1000000 + millionths;
}

// F, or A-B.
absl::Status ReadSalient(const Settings& settings, Policy* policy) {
  if (!settings[kSalient].has_value()) return absl::OkStatus();
  const absl::string_view value = settings[kSalient]->value;
  const std::vector<absl::string_view> shares = absl::StrSplit(value, absl::MaxSplits('-', 1));
  KEDGE_ASSIGN_OR_RETURN(policy->salient_millionths, ReadShare(shares[0]));
  if (shares.size() == 1) return absl::OkStatus();
  KEDGE_ASSIGN_OR_RETURN(policy->most_salient_millionths, ReadShare(shares[1]));
  if (policy->salient_millionths > 0 && policy->salient_millionths < policy->most_salient_millionths) {
    return absl::OkStatus();
  }
  return Invalid("salient: ", Quote(value), ": of A-B, A is above 0 and B above A");
}

std::string ShareText(uint32_t millionths) {
  if (millionths == 1000000) return "1";
  if (millionths == 0) return "0";
  const std::string decimals = absl::StrFormat("%06u", millionths);
  return absl::StrCat("0.", decimals.substr(0, decimals.find_last_not_of('0') + 1));
}

std::string SalientText(const Policy& policy) {
  const std::string least = ShareText(policy.salient_millionths);
  if (policy.most_salient_millionths == 0) return least;
  return absl::StrCat(least, "-", ShareText(policy.most_salient_millionths));
}

// REQUIRES: names.model_policy is not empty.
absl::StatusOr<Policy> ParseModelPolicy(const PolicyNames& names) {
  PolicyNames own_names = names;
  own_names.model_policy.clear();  // anllm-ep in a model's own policy can only mean the full stop
  absl::StatusOr<Policy> policy = ParsePolicy(names.model_policy, own_names);
  if (policy.ok()) return policy;
  return absl::Status(policy.status().code(),
                      absl::StrCat(policy.status().message(), " (in the model's kedge.anchor.policy)"));
}

// For anllm-ep: the anchors of the model's policy, else the full stop.
absl::StatusOr<std::vector<uint32_t>> TrainedAnchors(const PolicyNames& names) {
  if (!names.model_policy.empty()) {
    KEDGE_ASSIGN_OR_RETURN(Policy policy, ParseModelPolicy(names));
    if (policy.has_sequences()) return std::move(policy.anchors);
  }
  if (names.full_stop.has_value()) return std::vector<uint32_t>{*names.full_stop};
  return Invalid(
      "anchors: anllm-ep takes them from the model's kedge.anchor.policy or the token \".\"; this model has neither, "
      "so give their ids: anllm-ep,anchors=ID+ID");
}

// For anllm-ac: that of the model's policy, else the token that AnLLM-AC adds to its vocabulary.
absl::StatusOr<uint32_t> TrainedInsert(const PolicyNames& names) {
  if (!names.model_policy.empty()) {
    KEDGE_ASSIGN_OR_RETURN(const Policy policy, ParseModelPolicy(names));
    if (policy.insert.has_value()) return *policy.insert;
  }
  if (names.added_anchor.has_value()) return *names.added_anchor;
  return Invalid(
      "insert: anllm-ac takes it from the model's kedge.anchor.policy or the token \"<AC>\"; this model has neither, "
      "so give its id: anllm-ac,anchors=ID,insert=ID");
}

absl::StatusOr<std::vector<uint32_t>> ReadAnchors(absl::string_view value, const PolicyNames& names) {
  std::vector<uint32_t> ids;
  if (value == "none" || value == kText) return ids;
  if (value == kSentence || value == kSeparators) {
    ids = value == kSentence ? names.sentence : names.separators;
    if (ids.empty()) {
      return Invalid("anchors: this model has no tokens for \"", value, "\"; give their ids, as in anchors=46+33");
    }
  } else {
    if (value.empty() || value[0] < '0' || value[0] > '9') {
      return Invalid("anchors: unknown value ", Quote(value),
                     KnownNames(value, {kSentence, kSeparators, kText, "none"}), " and token ids, as in 46+33");
    }
    for (absl::string_view id_text : absl::StrSplit(value, '+')) {
      KEDGE_ASSIGN_OR_RETURN(const uint32_t id, ReadTokenId("anchors", id_text, names));
      ids.push_back(id);
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  if (ids.size() > kMaxAnchorIds) {
    return Invalid("anchors: ", ids.size(), " ids; at most ", kMaxAnchorIds, " are allowed");
  }
  return ids;
}

// Merges `text`'s preset and its own keys into `settings`; both point into `text` or into constants.
absl::Status Merge(absl::string_view text, bool is_preset, Settings& settings, absl::string_view& preset_name) {
  bool seen[kNumKeys] = {};
  bool first = true;
  for (absl::string_view item : absl::StrSplit(text, ',')) {
    const bool may_be_preset = first && !is_preset;
    first = false;
    const size_t equals = item.find('=');
    const absl::string_view name = item.substr(0, equals);
    const auto key_name = std::find(std::begin(kKeyNames), std::end(kKeyNames), name);
    if (equals == absl::string_view::npos) {
      if (item.empty()) return Invalid("an empty item; the form is [preset][,key=value...]");
      const auto preset =
          std::find_if(std::begin(kPresets), std::end(kPresets), [item](const Preset& p) { return p.name == item; });
      if (may_be_preset && preset != std::end(kPresets)) {
        preset_name = preset->name;
        KEDGE_RETURN_IF_ERROR(Merge(preset->text, true, settings, preset_name));
        continue;
      }
      if (key_name != std::end(kKeyNames)) return Invalid(name, ": has no value; write ", name, "=...");
      if (may_be_preset) return Invalid("unknown preset ", Quote(item), KnownNames(item, PresetNames()));
      if (preset != std::end(kPresets)) return Invalid("the preset \"", item, "\" must stand first, and alone");
      return Invalid(Quote(item), " is not key=value", KnownNames(item, kKeyNames));
    }
    if (key_name == std::end(kKeyNames)) return Invalid("unknown key ", Quote(name), KnownNames(name, kKeyNames));
    const size_t key = key_name - std::begin(kKeyNames);
    if (seen[key]) return Invalid(name, ": given twice");
    seen[key] = true;
    const absl::string_view value = item.substr(equals + 1);
    if (value.empty()) return Invalid(name, ": the value is empty");
    settings[key] = Setting{value, is_preset};
  }
  return absl::OkStatus();
}

}  // namespace

bool Policy::IsAnchorId(uint32_t id) const { return std::binary_search(anchors.begin(), anchors.end(), id); }

absl::StatusOr<Policy> ParsePolicy(absl::string_view text, const PolicyNames& names) {
  if (text.empty() && !names.model_policy.empty()) return ParseModelPolicy(names);
  if (text.empty()) text = kDefaultPolicy;
  Settings settings;
  absl::string_view preset_name;
  KEDGE_RETURN_IF_ERROR(Merge(text, false, settings, preset_name));

  // Syntax of all values, except where `anchors` and `insert` may need the model's own policy.
  Policy policy;
  KEDGE_ASSIGN_OR_RETURN(policy.longest, ReadCount(settings, kLongest));
  KEDGE_ASSIGN_OR_RETURN(policy.keep_anchors, ReadChoice(settings, kKeep, "anchors", "none"));
  KEDGE_ASSIGN_OR_RETURN(policy.sinks, ReadCount(settings, kSinks));
  if (settings[kRecent].has_value() && settings[kRecent]->value == "all") {
    policy.recent = Policy::kAll;
  } else {
    KEDGE_ASSIGN_OR_RETURN(policy.recent, ReadCount(settings, kRecent));
  }
  KEDGE_ASSIGN_OR_RETURN(const bool view_own, ReadChoice(settings, kView, "own", "all"));
  policy.view = view_own ? Policy::View::kOwn : Policy::View::kAll;
  const Setting insert = settings[kInsert].value_or(Setting{"off"});
  const bool is_insert_trained = insert.from_preset && insert.value == kTrained;
  if (insert.value != "off" && !is_insert_trained) {
    KEDGE_ASSIGN_OR_RETURN(policy.insert, ReadTokenId("insert", insert.value, names));
  }
  KEDGE_ASSIGN_OR_RETURN(const bool prefill_anchored, ReadChoice(settings, kPrefill, "anchored", "full"));
  policy.prefill_full = !prefill_anchored;
  KEDGE_RETURN_IF_ERROR(ReadSalient(settings, &policy));
  KEDGE_ASSIGN_OR_RETURN(const bool write_anchored, ReadChoice(settings, kWrite, "anchored", "full"));
  policy.write_full = !write_anchored;

  if (is_insert_trained) {
    KEDGE_ASSIGN_OR_RETURN(policy.insert, TrainedInsert(names));
  }
  const Setting anchors = settings[kAnchors].value_or(Setting{"none"});
  if (!anchors.from_preset || anchors.value != kTrained) {
    KEDGE_ASSIGN_OR_RETURN(policy.anchors, ReadAnchors(anchors.value, names));
  } else if (preset_name == "anllm-ac") {
    KEDGE_ASSIGN_OR_RETURN(const uint32_t anchor, policy.insert.has_value() ? *policy.insert : TrainedInsert(names));
    policy.anchors = {anchor};
  } else {
    KEDGE_ASSIGN_OR_RETURN(policy.anchors, TrainedAnchors(names));
  }
  policy.text_anchors = anchors.value == kText;
  if (policy.text_anchors && !policy.write_full) {
    return Invalid(
        "anchors: text", anchors.from_preset ? " (from the preset)" : "",
        " cuts prompts alone, and with write=anchored what is written has sequences too; give write=full, or "
        "tokens, as anchors=sentence");
  }
  if (policy.insert.has_value() && !policy.IsAnchorId(*policy.insert)) {
    return Invalid("insert: ", *policy.insert, " closes no sequence; give anchors=", *policy.insert);
  }
  if (!policy.has_sequences() && policy.longest > 0) {
    return Invalid("longest: ", policy.longest, settings[kLongest]->from_preset ? " (from the preset)" : "",
                   " bounds sequences, and with anchors=none there are none; give anchors, or longest=0");
  }
  if (policy.salient_millionths > 0 && !policy.prefill_full) {
    return Invalid(
        "salient: ", SalientText(policy),
        " chooses from the whole prompt, and with prefill=anchored most of it is gone; give the preset first, "
        "\"salient,salient=",
        SalientText(policy), "\", or prefill=full, or salient=0");
  }
  if (policy.salient_millionths > 0 && !policy.has_sequences()) {
    return Invalid("salient: ", SalientText(policy),
                   " goes to sequences, and with anchors=none there are none; give anchors, or salient=0");
  }
  return policy;
}

namespace {

std::string AnchorsText(const Policy& policy) {
  if (policy.text_anchors) return std::string(kText);
  return policy.anchors.empty() ? "none" : absl::StrJoin(policy.anchors, "+");
}

std::string PolicyText(absl::string_view anchors, const Policy& policy) {
  return absl::StrCat(
      "anchors=", anchors, ",insert=", policy.insert.has_value() ? absl::StrCat(*policy.insert) : "off",
      ",longest=", policy.longest, ",keep=", policy.keep_anchors ? "anchors" : "none", ",sinks=", policy.sinks,
      ",recent=", policy.recent == Policy::kAll ? "all" : absl::StrCat(policy.recent),
      ",view=", policy.view == Policy::View::kAll ? "all" : "own",
      ",prefill=", policy.prefill_full ? "full" : "anchored", ",salient=", SalientText(policy),
      ",write=", policy.write_full ? "full" : "anchored");
}

}  // namespace

std::string CanonicalPolicy(const Policy& policy) { return PolicyText(AnchorsText(policy), policy); }

std::string ReadablePolicy(const Policy& policy, const PolicyNames& names) {
  if (!policy.anchors.empty()) {
    if (policy.anchors == names.sentence) return PolicyText(kSentence, policy);
    if (policy.anchors == names.separators) return PolicyText(kSeparators, policy);
  }
  return CanonicalPolicy(policy);
}

}  // namespace kedge
