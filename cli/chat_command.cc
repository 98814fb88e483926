// `kedge chat`: a conversation. The history lies here and is sent whole each time; the servers keep no sessions.
//
// Tested by tests/chat_test.py, on a terminal.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generate_options.h"
#include "cli/router_access.h"
#include "common/rpc/flags.h"
#include "common/rpc/signals.h"

namespace kedge {
namespace {

constexpr absl::Duration kModelInfoTimeout = absl::Seconds(10);
constexpr char kPromptSign[] = "> ";

struct Options {
  RouterAccess router;
  std::string system;
  ChatOptions chat;
  SamplingOptions sampling;
};

void WriteToTerminal(absl::string_view text) { (void)!write(STDERR_FILENO, text.data(), text.size()); }

// The lines of one conversation. Owned by the main thread; OnSignal runs on the signals' thread.
class Dialogue {
 public:
  // `client` must outlive this.
  Dialogue(const Options& options, Client* client, GenerateCall call)
      : client_(*client),
        call_(std::move(call)),
        system_(options.system),
        on_terminal_(isatty(STDIN_FILENO)),
        raw_output_(options.sampling.raw_output),
        chat_(options.chat.conversation) {}

  absl::Status CheckModel() {
    absl::StatusOr<ModelInfo> info = client_.GetModelInfo(kModelInfoTimeout);
    if (!info.ok()) return info.status();
    if (info->chat_template.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot chat with ", info->model, ": ", info->chat_template_error));
    }
    if (on_terminal_) {
      WriteToTerminal(absl::StrCat(info->model, ". Ctrl-C stops an answer; /reset forgets; /exit or Ctrl-D ends.\n"));
    }
    return absl::OkStatus();
  }

  // Reads and answers until the input ends.
  int Talk() {
    Reset();
    bool all_answered = true;
    std::string line;
    while (ReadLine(&line)) {
      absl::string_view words = absl::StripAsciiWhitespace(line);
      if (words.empty()) continue;
      if (words == "/exit" || words == "/quit") break;
      if (words == "/reset") {
        Reset();
      } else if (absl::StartsWith(words, "/")) {
        Say("commands: /reset, /exit");
      } else if (const absl::Status text = CheckText("this line", line); !text.ok()) {
        Say(text.message());
        all_answered = false;
      } else {
        all_answered &= Answer(line);
      }
    }
    // In a script the exit code tells; a person has seen each error and gone on.
    return all_answered || on_terminal_ ? kExitOk : kExitFailed;
  }

  void OnSignal(int signal) {
    if (signal != SIGINT) {
      client_.Cancel();
      std::_Exit(kExitFailed);  // the main thread waits for input, and nothing needs an orderly end
    }
    if (answering_) {
      stop_answer_ = true;
      client_.Cancel();
    } else {
      WriteToTerminal(absl::StrCat("\n(Ctrl-D or /exit ends)\n", kPromptSign));
    }
  }

 private:
  void Reset() {
    chat_.messages.clear();
    if (!system_.empty()) chat_.messages.push_back({"system", system_});
  }

  bool ReadLine(std::string* line) {
    if (on_terminal_) WriteToTerminal(kPromptSign);
    if (std::getline(std::cin, *line)) return true;
    if (on_terminal_) WriteToTerminal("\n");
    return false;
  }

  // False after an error. What was written of a stopped answer stays in the history.
  bool Answer(const std::string& question) {
    chat_.messages.push_back({"user", question});
    call_.prompt = chat_;
    std::string written;
    stop_answer_ = false;
    answering_ = true;
    absl::StatusOr<kedge::Answer> answer = client_.Generate(
        call_,
        [&written, this](absl::string_view text) {
          written.append(text.data(), text.size());
          return WriteAnswer(text, raw_output_);
        },
        [this] { return stop_answer_.load(); });
    answering_ = false;
    if (!absl::EndsWith(written, "\n")) WriteOut("\n");
    const bool stopped = !answer.ok() && stop_answer_;
    if (answer.ok() && answer->finish_reason == "length") {
      Say(absl::StrCat("the answer is cut at ", answer->completion_tokens, " tokens (--max-tokens)"));
    }
    if (answer.ok() || (stopped && !written.empty())) {
      chat_.messages.push_back({"assistant", written});
      return true;
    }
    chat_.messages.pop_back();  // as if it had not been asked
    if (!stopped) SayError(NameFlag(answer.status()));
    return stopped;
  }

  Client& client_;
  GenerateCall call_;
  const std::string system_;
  const bool on_terminal_;
  const bool raw_output_;
  Conversation chat_;
  std::atomic<bool> answering_ = false;
  std::atomic<bool> stop_answer_ = false;
};

int Chat(Options options) {
  if (absl::Status status = ReadChatOptions(&options.chat); !status.ok()) {
    SayError(status);
    return kExitFailed;
  }
  StopSignals signals;
  PromptOptions no_prompt;
  absl::StatusOr<GenerateCall> call = MakeCall(no_prompt, options.sampling, /*is_chat_model=*/true);
  if (!call.ok()) {
    SayError(call.status());
    return kExitFailed;
  }
  const absl::StatusOr<std::unique_ptr<Client>> client = Connect(options.router);
  if (!client.ok()) {
    SayError(client.status());
    return kExitFailed;
  }
  Dialogue dialogue(options, client->get(), *std::move(call));
  if (absl::Status status = dialogue.CheckModel(); !status.ok()) {
    SayError(status);
    return kExitFailed;
  }
  signals.SetHandler([&dialogue](int signal) { dialogue.OnSignal(signal); });
  int exit_code = dialogue.Talk();
  signals.SetHandler({});
  return exit_code;
}

}  // namespace

void AddChatCommand(CLI::App* app, Action* action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("chat", "Talk with a running cluster");
  AddRouterOption(command, &options->router);
  command->add_option("--system", options->system, "System message of the conversation");
  AddTemplateArgumentsOption(command, &options->chat);
  command->add_option("--policy", options->sampling.call.policy, "Anchor policy (default: the cluster's)")
      ->type_name("SPEC");
  AddSamplingOptions(command, &options->sampling);
  command->callback([options, action] { *action = [options] { return Chat(*options); }; });
}

}  // namespace kedge
