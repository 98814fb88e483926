// Tested by given_answer_test.cc.
#include "bench/given_answer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace kedge {
namespace {

bool IsPlain(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isprint(c); });
}

}  // namespace

absl::StatusOr<GivenAnswer> GivenAnswer::Make(const Tokenizer& tokenizer, const BenchText& text, uint32_t count) {
  std::vector<uint32_t> plain;
  for (uint32_t id : text.Take(0, static_cast<uint32_t>(text.size()))) {
    if (!tokenizer.IsSpecial(id) && IsPlain(tokenizer.TokenBytes(id))) plain.push_back(id);
  }
  if (plain.empty())
    return absl::InvalidArgumentError("the model's vocabulary has no plain words for the built-in texts");
  std::vector<uint32_t> ids = BenchText(std::move(plain)).Take(0, count);
  std::vector<std::string> texts;
  for (uint32_t id : ids) texts.emplace_back(tokenizer.TokenBytes(id));
  return GivenAnswer(std::move(ids), texts);
}

GivenAnswer::GivenAnswer(std::vector<uint32_t> ids, const std::vector<std::string>& texts) : ids_(std::move(ids)) {
  KEDGE_CHECK(ids_.size() == texts.size());
  for (const std::string& text : texts) {
    KEDGE_CHECK(!text.empty());
    text_ += text;
    ends_.push_back(text_.size());
  }
}

absl::StatusOr<uint32_t> GivenAnswer::TokensShown(size_t begin, absl::string_view piece) const {
  const size_t end = begin + piece.size();
  if (end > text_.size() || text_.compare(begin, piece.size(), piece.data(), piece.size()) != 0) {
    return absl::DataLossError(absl::StrCat("the answer's text is wrong from byte ", begin, " on: \"", piece, "\""));
  }
  return static_cast<uint32_t>(std::upper_bound(ends_.begin(), ends_.end(), end) - ends_.begin());
}

}  // namespace kedge
