// The anchor policy: which rows of the KV cache are kept, and which kept rows each row sees.
//
// A policy is a small value. Its text form is `[preset][,key=value...]`; later keys override the preset's, a key given
// twice is an error. The canonical form has all keys in a fixed order with token sets resolved to sorted ids: it is
// what is hashed, compared and sent between nodes, and it parses back to the same policy.
//
// After Pang et al., "Anchor-based Large Language Models" (ACL 2024 Findings), with what SepLLM and StreamingLLM add.
#ifndef KEDGE_COMMON_ANCHOR_POLICY_H_
#define KEDGE_COMMON_ANCHOR_POLICY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kedge {

struct Policy {
  static constexpr uint32_t kAll = UINT32_MAX;  // of `recent`

  enum class View { kOwn, kAll };

  // Sorted ids of the tokens that close a sequence; empty: `anchors=none`, there are no sequences, or `anchors=text`.
  std::vector<uint32_t> anchors;
  // One of `anchors`, which texts spell only on purpose: put between the sentences of a text prompt, written by the
  // model itself, and hidden from clients (`insert=ID`); nullopt: `insert=off`.
  std::optional<uint32_t> insert;
  // `anchors=text`: whoever knows the text says where the prompt's sequences end (Content::sequence_ends). What is
  // written has none.
  bool text_anchors = false;
  // The `longest`-th row of a sequence acts as an anchor; 0: never. Of `anchors=text`: no sequence is longer.
  uint32_t longest = 0;
  // Whether closing rows are kept (`keep=anchors`) or not (`keep=none`).
  bool keep_anchors = true;
  // The first `sinks` rows are kept, and seen by every row.
  uint32_t sinks = 0;
  // A row sees the last `recent` rows, itself included, whatever their sequence; kAll: every row.
  uint32_t recent = 0;
  // What an anchor row sees of kept rows before its recent span: sinks alone, or all of them.
  View view = View::kOwn;
  // `prefill=full`: of a prompt of n rows, rows 0..n-2 see every earlier row; then the prompt is reduced, and row n-1
  // is the first to see the reduced rows.
  bool prefill_full = false;
  // With prefill_full, in millionths of the prompt's rows: how many go to salient sequences (salience.h); 0: none.
  uint32_t salient_millionths = 0;
  // Not below salient_millionths: so many where attention is spread over more (`salient=A-B`). 0: no more than these.
  uint32_t most_salient_millionths = 0;
  // `write=full`: generated rows see every row from the window at the prompt's end on, so nothing written is dropped.
  bool write_full = false;

  bool has_sequences() const { return text_anchors || !anchors.empty(); }
  bool IsAnchorId(uint32_t id) const;  // binary search

  friend bool operator==(const Policy&, const Policy&) = default;
};

// What names in a policy's text stand for in one model.
struct PolicyNames {
  std::vector<uint32_t> sentence;        // `anchors=sentence`
  std::vector<uint32_t> separators;      // `anchors=separators`
  std::optional<uint32_t> full_stop;     // the one id whose text is exactly "."
  std::optional<uint32_t> added_anchor;  // the id of AnLLM-AC's own token, "<AC>"
  std::string model_policy;              // kedge.anchor.policy of the model's metadata; may be empty
  uint32_t vocab_size = 0;               // ids must be below it; 0: not checked
};

// Built-in default.
inline constexpr char kDefaultPolicy[] = "salient";

// kInvalidArgument names the key or the value and says what is allowed (with the nearest known name for a misspelt
// one). An empty text is the default policy: the model's, else kDefaultPolicy.
absl::StatusOr<Policy> ParsePolicy(absl::string_view text, const PolicyNames& names);

// All keys in order: anchors,insert,longest,keep,sinks,recent,view,prefill,salient,write.
std::string CanonicalPolicy(const Policy& policy);
// For who reads it: anchors that have a name in the model by that name, because a large vocabulary has thousands of
// them. Parses back to the same policy with the same `names`; never hashed, compared or sent between nodes.
std::string ReadablePolicy(const Policy& policy, const PolicyNames& names);

}  // namespace kedge

#endif  // KEDGE_COMMON_ANCHOR_POLICY_H_
