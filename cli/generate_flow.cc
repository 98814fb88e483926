// Whether the model is a chat model is the server's knowledge, so it is asked first where it matters.
//
// Tested by client_test.cc.
#include "cli/generate_flow.h"

#include <unistd.h>

#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/answer.h"
#include "cli/console.h"
#include "common/base/status.h"

namespace kedge {
namespace {

constexpr absl::Duration kModelInfoTimeout = absl::Seconds(10);

}  // namespace

absl::Status GenerateAndPrint(const PromptOptions& prompt, const SamplingOptions& sampling, AnswerFormat format,
                              Client* client, StopSignals* signals) {
  bool is_chat_model = false;
  std::string why_not;
  if (MayBeChat(prompt)) {
    KEDGE_ASSIGN_OR_RETURN(ModelInfo info, client->GetModelInfo(kModelInfoTimeout));
    is_chat_model = !info.chat_template.empty();
    why_not = info.chat_template_error;
  }
  absl::StatusOr<GenerateCall> call = MakeCall(prompt, sampling, is_chat_model);
  if (!call.ok()) {
    return absl::Status(call.status().code(),
                        absl::StrCat(call.status().message(), why_not.empty() ? "" : ": ", why_not));
  }
  if (MayBeChat(prompt) && !is_chat_model) Say(absl::StrCat("the text goes in as it is: ", why_not));

  bool readable = true;
  bool at_line_start = true;
  auto on_text = [&](absl::string_view text) {
    at_line_start = absl::EndsWith(text, "\n");
    if (format == AnswerFormat::kText) readable = WriteAnswer(text, sampling.raw_output);
    return readable;
  };
  signals->SetHandler([client](int) { client->Cancel(); });
  absl::Cleanup remove_handler = [signals] { signals->SetHandler({}); };
  absl::StatusOr<Answer> answer = client->Generate(*call, on_text, [signals] { return signals->stopped(); });
  if (format == AnswerFormat::kText && !at_line_start) WriteOut("\n");
  if (!readable) return absl::CancelledError("nobody reads the answer any more");
  if (absl::IsCancelled(answer.status()) && signals->stopped()) return absl::CancelledError("stopped by a signal");
  if (!answer.ok()) return NameFlag(answer.status());
  if (format == AnswerFormat::kJson) WriteAnswer(AnswerJson(*answer) + "\n", sampling.raw_output);
  if (prompt.show_kept) WriteErr(MarkedPrompt(*answer, isatty(STDERR_FILENO)) + "\n");
  const std::string summary = AnswerSummary(*answer);
  Say(absl::StrCat("done\n", absl::StripSuffix(summary, "\n")));
  return absl::OkStatus();
}

}  // namespace kedge
