// Tested by reply_check_test.cc.
#include "eval/reply_check.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

// Many models put JSON into a code fence even where nothing else is wanted: that the demand was kept shows all the
// same.
bool IsJson(absl::string_view reply) {
  reply = absl::StripAsciiWhitespace(reply);
  if (absl::ConsumePrefix(&reply, "```")) {
    absl::ConsumePrefix(&reply, "json");
    absl::ConsumeSuffix(&reply, "```");
  }
  return nlohmann::json::accept(reply.begin(), reply.end());
}

bool EndsWithWord(absl::string_view reply, absl::string_view word) {
  while (!reply.empty() && (absl::ascii_isspace(reply.back()) || absl::ascii_ispunct(reply.back()))) {
    reply.remove_suffix(1);
  }
  if (!absl::EndsWithIgnoreCase(reply, word)) return false;
  reply.remove_suffix(word.size());
  return reply.empty() || !absl::ascii_isalnum(reply.back());
}

}  // namespace

bool ContainsAnswer(absl::string_view reply, absl::string_view answer) {
  auto is_digit = [&](size_t i) { return i < reply.size() && absl::ascii_isdigit(reply[i]); };
  // A comma between thousands: behind a digit, before three and no more.
  auto groups = [&](size_t i) {
    return reply[i] == ',' && i > 0 && is_digit(i - 1) && is_digit(i + 1) && is_digit(i + 2) && is_digit(i + 3) &&
           !is_digit(i + 4);
  };
  std::string plain;
  for (size_t i = 0; i < reply.size(); ++i) {
    if (groups(i)) continue;
    plain += absl::ascii_tolower(reply[i]);
  }
  const std::string wanted = absl::AsciiStrToLower(answer);
  auto in_word = [&](size_t i) { return i < plain.size() && absl::ascii_isalnum(plain[i]); };
  for (size_t at = plain.find(wanted); at != std::string::npos; at = plain.find(wanted, at + 1)) {
    if ((at == 0 || !in_word(at - 1)) && !in_word(at + wanted.size())) return true;
  }
  return false;
}

ReplyFound FoundInReply(absl::string_view reply, const ReplyCheck& check) {
  size_t asked = check.answers.size(), found = 0;
  for (const std::string& answer : check.answers) found += ContainsAnswer(reply, answer);
  const bool found_some = found > 0;
  if (!check.forbidden.empty()) {
    ++asked;
    found += found_some && std::none_of(check.forbidden.begin(), check.forbidden.end(),
                                        [&](const std::string& word) { return ContainsAnswer(reply, word); });
  }
  if (!check.last_word.empty()) {
    ++asked;
    found += EndsWithWord(reply, check.last_word);
  }
  if (check.json) {
    ++asked;
    found += IsJson(reply);
  }
  if (asked == 0) return {};
  return {.share = static_cast<double>(found) / static_cast<double>(asked), .all = found == asked};
}

}  // namespace kedge
