// `kedge bench chat`: one chat through the real processes, twice: what its later turns move where decode nodes hold the
// rows that they were sent, and where they do not.
//
// Tested by tests/bench_test.py.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/bench_text.h"
#include "bench/chat_report.h"
#include "cli/bench_command.h"
#include "cli/client.h"
#include "cli/console.h"
#include "cli/generate_options.h"
#include "cli/local_cluster.h"
#include "cli/open_model.h"
#include "common/base/status.h"
#include "common/model/model_files.h"
#include "common/rpc/flags.h"
#include "common/rpc/signals.h"
#include "common/tokenizer/tokenizer.h"

namespace kedge {
namespace {

constexpr uint32_t kQuestionTokens = 30;  // about so many are the question's and the chat template's

struct BenchChatFlags {
  LocalClusterOptions cluster;
  uint32_t turns = 30;
  uint32_t turn_tokens = 250;
  uint32_t output_tokens = 40;
  uint32_t document_tokens = 0;
  AnswerFormat format = AnswerFormat::kText;
};

// The number-th longest word of letters alone.
std::string LongWord(absl::string_view text, size_t number) {
  std::vector<std::string> words;
  for (absl::string_view word : absl::StrSplit(text, absl::ByAnyChar(" \n\t"), absl::SkipEmpty())) {
    if (std::all_of(word.begin(), word.end(), absl::ascii_isalpha)) words.emplace_back(word);
  }
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  std::stable_sort(words.begin(), words.end(),
                   [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
  return words.empty() ? "it" : words[number % words.size()];
}

// What the user says in each turn: a passage that was not seen before, if a turn has room for one, and a question about
// a word of it; or the questions of all turns are about one document, which the first message has.
std::vector<std::string> UserMessages(const BenchChatFlags& flags, const Tokenizer& tokenizer, const BenchText& text) {
  uint64_t place = 0;
  const auto passage = [&](uint32_t tokens) {
    Detokenizer detokenizer(&tokenizer, /*skip_special_tokens=*/true, Detokenizer::Begin::kText);
    std::string words;
    for (uint32_t id : text.Take(place++, tokens)) words += detokenizer.Push(id);
    return words;
  };
  const std::string document = flags.document_tokens == 0 ? "" : passage(flags.document_tokens);
  const uint32_t others = flags.output_tokens + kQuestionTokens;
  std::vector<std::string> messages;
  for (uint32_t turn = 0; turn < flags.turns; ++turn) {
    std::string said = turn == 0 ? document : "";
    if (document.empty() && flags.turn_tokens > others) said = passage(flags.turn_tokens - others);
    const std::string word = document.empty() ? LongWord(said, 0) : LongWord(document, turn);
    messages.push_back(absl::StrCat(said, said.empty() ? "" : "\n\n", "What does the text say about ", word, "?"));
  }
  return messages;
}

absl::StatusOr<std::vector<Answer>> Talk(LocalClusterOptions options, const std::vector<std::string>& messages,
                                         uint32_t output_tokens, const StopSignals& signals) {
  KEDGE_ASSIGN_OR_RETURN(const Cluster cluster, StartLocalCluster(options, /*default_port=*/0, signals));
  Client client(cluster.LocalAddress());
  Conversation conversation;
  std::vector<Answer> answers;
  for (const std::string& message : messages) {
    conversation.messages.push_back({.role = "user", .content = message});
    GenerateCall call{.prompt = conversation, .policy = options.policy, .max_tokens = output_tokens};
    call.ignore_eos = true;  // turns are as long as they were asked to be
    KEDGE_ASSIGN_OR_RETURN(Answer answer, client.Generate(
                                              call, [](absl::string_view) { return true; },
                                              [&signals] { return signals.stopped(); }));
    conversation.messages.push_back({.role = "assistant", .content = answer.text});
    answers.push_back(std::move(answer));
  }
  return answers;
}

// How many rows of its state a turn is the first to keep. `seen`: of the turns before; takes those of this one.
uint32_t NewRows(const Answer& answer, std::set<uint32_t>* seen) {
  uint32_t added = 0;
  for (const auto& [begin, end] : answer.kept_ranges) {
    for (uint32_t row = begin; row < std::min(end, answer.prompt_tokens - 1); ++row) added += seen->insert(row).second;
  }
  return added;
}

absl::StatusOr<std::vector<ChatTurn>> Measure(const BenchChatFlags& flags, const StopSignals& signals) {
  std::vector<std::string> messages;
  {
    KEDGE_ASSIGN_OR_RETURN(const ModelFiles files, OpenModel(flags.cluster.model, flags.cluster.adapter,
                                                             [&signals] { return signals.stopped(); }));
    KEDGE_ASSIGN_OR_RETURN(const std::unique_ptr<const Tokenizer> tokenizer, Tokenizer::Load(*files.base));
    KEDGE_ASSIGN_OR_RETURN(const BenchText text, BenchText::Make(*tokenizer));
    messages = UserMessages(flags, *tokenizer, text);
  }
  KEDGE_ASSIGN_OR_RETURN(const std::vector<Answer> answers,
                         Talk(flags.cluster, messages, flags.output_tokens, signals));
  LocalClusterOptions holds_nothing = flags.cluster;
  holds_nothing.held_memory_mib = 0;
  KEDGE_ASSIGN_OR_RETURN(const std::vector<Answer> without,
                         Talk(holds_nothing, messages, flags.output_tokens, signals));
  std::vector<ChatTurn> turns;
  std::set<uint32_t> seen;
  for (size_t i = 0; i < answers.size(); ++i) {
    turns.push_back({.prompt_tokens = answers[i].prompt_tokens,
                     .kept_rows = answers[i].kept_rows,
                     .new_rows = NewRows(answers[i], &seen),
                     .held_rows = answers[i].held_rows,
                     .moved_bytes = answers[i].segment_bytes,
                     .without_bytes = without[i].segment_bytes,
                     .equal = answers[i].token_ids == without[i].token_ids});
  }
  return turns;
}

int RunBenchChat(const BenchChatFlags& flags) {
  StopSignals signals;
  const absl::StatusOr<std::vector<ChatTurn>> turns = Measure(flags, signals);
  if (!turns.ok()) {
    SayError(turns.status());
    return kExitFailed;
  }
  WriteOut(flags.format == AnswerFormat::kJson ? ChatReportJson(*turns) : ChatReportText(*turns));
  const bool equal = std::all_of(turns->begin(), turns->end(), [](const ChatTurn& turn) { return turn.equal; });
  return equal ? kExitOk : kExitFailed;
}

}  // namespace

void AddBenchChat(CLI::App* bench, Action* action) {
  auto flags = std::make_shared<BenchChatFlags>();
  CLI::App* command = bench->add_subcommand(
      "chat", "A chat, turn after turn: bytes moved where decode nodes hold the rows that they were sent, and without");
  AddLocalClusterOptions(command, "any free one", &flags->cluster);
  command->add_option("--turns", flags->turns, "Turns")
      ->check(WholeNumber(1, 1000))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--turn-tokens", flags->turn_tokens, "Tokens of a turn, about: a passage, a question, the answer")
      ->check(WholeNumber(1, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--output-tokens", flags->output_tokens, "Tokens of each answer")
      ->check(WholeNumber(1, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--document-tokens", flags->document_tokens,
                   "All questions are about one document of so many tokens in the first message; 0: each turn brings a "
                   "passage of its own")
      ->check(WholeNumber(0, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  AddFormatOption(command, "text: a table; json: one object", &flags->format);
  command->callback([flags, action] { *action = [flags] { return RunBenchChat(*flags); }; });
}

}  // namespace kedge
