// What makes a reply right, as data, and the one function that judges by it.
#ifndef KEDGE_EVAL_REPLY_CHECK_H_
#define KEDGE_EVAL_REPLY_CHECK_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace kedge {

// Each answer is one thing that is asked, and so is each other demand.
struct ReplyCheck {
  std::vector<std::string> answers;    // the reply contains each of them (ContainsAnswer)
  std::vector<std::string> forbidden;  // and none of these, in whole words as well
  std::string last_word;               // it ends with this, but for punctuation and white space
  bool json = false;                   // it is one JSON value, in a code fence or without
};

struct ReplyFound {
  double share = 0;  // of what is asked
  bool all = false;  // share == 1, and something is asked
};

// Letter case does not count. Silence avoids what is forbidden too: that counts only where some answer is found.
ReplyFound FoundInReply(absl::string_view reply, const ReplyCheck& check);

// Whether `reply` contains `answer` as a whole word or number; letter case and commas between thousands do not count.
bool ContainsAnswer(absl::string_view reply, absl::string_view answer);

}  // namespace kedge

#endif  // KEDGE_EVAL_REPLY_CHECK_H_
