// The options that `generate`, `run` and `chat` share.
#ifndef KEDGE_CLI_GENERATE_OPTIONS_H_
#define KEDGE_CLI_GENERATE_OPTIONS_H_

#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/chat_options.h"
#include "cli/client.h"

namespace kedge {

// How to sample and when to stop.
struct SamplingOptions {
  GenerateCall call;  // all but the prompt; the strings below are not yet in it
  std::string stop_token_ids;
  double timeout_seconds = 0;  // 0: none
  bool raw_output = false;     // the answer as it is, on a terminal too
};
void AddSamplingOptions(CLI::App* command, SamplingOptions* options);

// What to continue: exactly one source, which the parser checks.
struct PromptOptions {
  std::string prompt;
  std::string prompt_file;
  std::string tokens;
  std::string system;
  ChatOptions chat;
  bool raw = false;
  std::vector<std::string> pins;          // "message:N" or "A-B"
  std::vector<std::string> anchor_spans;  // "A-B"
  bool show_kept = false;
  enum class Source { kPrompt, kFile, kTokens, kMessages };
  Source source = Source::kPrompt;
};
void AddPromptOptions(CLI::App* command, PromptOptions* options);

// Puts the text of --prompt-file into `prompt`, and checks that it is valid UTF-8 (flags are by CheckFlagTexts): needs
// no server, so it comes before one is asked or started. kNotFound or kUnavailable: the file; kInvalidArgument names
// the flag.
absl::Status ReadPrompt(PromptOptions* options);

// For CLI11's check(): why `text` is no list of token ids; empty if it is one.
std::string CheckTokenList(const std::string& text);

// "message:N" or "A-B"; kInvalidArgument if it is neither.
absl::StatusOr<Pin> ParsePin(absl::string_view text);

// How to print the answer.
enum class AnswerFormat { kText, kJson };
void AddFormatOption(CLI::App* command, const std::string& help, AnswerFormat* format);
inline constexpr char kAnswerFormatHelp[] = "text: as it comes; json: one object at the end";

// The call that the options ask for. `is_chat_model`: plain text becomes the user's message unless --raw is given.
// kInvalidArgument: a flag of chats, and no chat model. REQUIRES: ReadPrompt has succeeded.
absl::StatusOr<GenerateCall> MakeCall(const PromptOptions& prompt, const SamplingOptions& sampling, bool is_chat_model);

// A router's refusal with the flag in place of the request's field that it begins with: who typed the one need not know
// the other. Other errors stay as they are.
absl::Status NameFlag(const absl::Status& refusal);

// Whether MakeCall will look at `is_chat_model`.
bool MayBeChat(const PromptOptions& prompt);

}  // namespace kedge

#endif  // KEDGE_CLI_GENERATE_OPTIONS_H_
