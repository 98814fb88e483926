// The text form of SalienceHeads. Tested by salience_test.cc.
#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/anchor/salience.h"
#include "common/base/status.h"

namespace kedge {
namespace {

std::string HeadsText(const std::vector<HeadRef>& heads) {
  return absl::StrJoin(heads, "+", [](std::string* out, const HeadRef& head) { *out += HeadText(head); });
}

absl::StatusOr<std::vector<HeadRef>> ReadHeads(absl::string_view text, uint32_t num_layers, uint32_t num_heads) {
  std::vector<HeadRef> heads;
  for (absl::string_view item : absl::StrSplit(text, '+')) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(item, absl::MaxSplits('.', 1));
    HeadRef head;
    if (!absl::SimpleAtoi(parts.first, &head.layer) || !absl::SimpleAtoi(parts.second, &head.head)) {
      return absl::InvalidArgumentError(absl::StrCat("salience heads: \"", item, "\" is not layer.head"));
    }
    if (head.layer >= num_layers || head.head >= num_heads) {
      return absl::InvalidArgumentError(
          absl::StrCat("salience heads: ", item, ": the model has ", num_layers, " layers of ", num_heads, " heads"));
    }
    if (std::find(heads.begin(), heads.end(), head) != heads.end()) {
      return absl::InvalidArgumentError(absl::StrCat("salience heads: ", item, " is given twice"));
    }
    heads.push_back(head);
  }
  return heads;
}

}  // namespace

std::vector<HeadRef> SalienceHeads::All() const {
  std::vector<HeadRef> all = pointers;
  all.insert(all.end(), retrieval.begin(), retrieval.end());
  return all;
}

std::string HeadText(const HeadRef& head) { return absl::StrCat(head.layer, ".", head.head); }

std::string SalienceHeadsText(const SalienceHeads& heads) {
  return absl::StrCat(heads.pointers.empty() ? "" : absl::StrCat("pointers=", HeadsText(heads.pointers), ","),
                      "retrieval=", HeadsText(heads.retrieval));
}

absl::StatusOr<SalienceHeads> ParseSalienceHeads(absl::string_view text, uint32_t num_layers, uint32_t num_heads) {
  SalienceHeads heads;
  for (absl::string_view item : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(item, absl::MaxSplits('=', 1));
    std::vector<HeadRef>* list = parts.first == "pointers"    ? &heads.pointers
                                 : parts.first == "retrieval" ? &heads.retrieval
                                                              : nullptr;
    if (list == nullptr || !list->empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("salience heads: \"", item, "\"; the form is pointers=L.H+L.H,retrieval=L.H+L.H"));
    }
    KEDGE_ASSIGN_OR_RETURN(*list, ReadHeads(parts.second, num_layers, num_heads));
  }
  if (heads.empty()) return absl::InvalidArgumentError("salience heads: retrieval: there are none");
  return heads;
}

absl::Status CheckChoosable(const Content& content, const SalienceHeads& heads) {
  if (!content.NeedsChoice() || !heads.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError("policy: salient: no heads are known to choose by");
}

}  // namespace kedge
