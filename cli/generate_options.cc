// Values are checked here as far as their form goes; ranges are the server's business, which names the field: NameFlag.
// The flag of a field of SamplingParams has the field's name.
//
// Tested by generate_options_test.cc.
#include "cli/generate_options.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "cli/token_list.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/rpc/flags.h"

namespace kedge {

std::string CheckTokenList(const std::string& text) { return std::string(ParseTokenList(text).status().message()); }

namespace {

// "A-B"; whether B is above A is the server's business.
absl::StatusOr<TextSpan> ParseTextSpan(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(text, absl::MaxSplits('-', 1));
  TextSpan span;
  if (absl::SimpleAtoi(ends.first, &span.begin) && absl::SimpleAtoi(ends.second, &span.end)) return span;
  return absl::InvalidArgumentError("is not A-B");
}

}  // namespace

void AddSamplingOptions(CLI::App* command, SamplingOptions* options) {
  GenerateCall* call = &options->call;
  command->add_option("--max-tokens", call->max_tokens, "Most tokens to write (default: the router's)")
      ->check(WholeNumber(1, UINT32_MAX));
  command->add_option("--min-tokens", call->min_tokens, "Tokens to write before the answer may end")
      ->check(WholeNumber(0, UINT32_MAX));
  command->add_option("--temperature", call->temperature, "0 is greedy: always the likeliest token")
      ->check(Number())
      ->capture_default_str();
  command->add_option("--top-p", call->top_p, "Sample from the likeliest tokens of this total probability")
      ->check(Number());
  command->add_option("--top-k", call->top_k, "Sample from this many of the likeliest tokens; 0 or -1: from all")
      ->check(WholeNumber(-1, INT32_MAX));
  command->add_option("--min-p", call->min_p, "Drop tokens less likely than this share of the likeliest one's")
      ->check(Number());
  command->add_option("--repetition-penalty", call->repetition_penalty, "Above 1: tokens of the text get unlikelier")
      ->check(Number());
  command->add_option("--frequency-penalty", call->frequency_penalty, "Taken off for each time a token was written")
      ->check(Number());
  command->add_option("--presence-penalty", call->presence_penalty, "Taken off once a token was written")
      ->check(Number());
  command->add_option("--seed", call->seed, "Seed of the sampler (default: drawn)")->check(WholeNumber(0, UINT64_MAX));
  command->add_option("--stop", call->stop, "Text that ends the answer; can be given several times")
      ->allow_extra_args(false);
  command->add_option("--stop-token-ids", options->stop_token_ids, "Token ids that end the answer: 1,2,3")
      ->check(CheckTokenList)
      ->type_name("IDS");
  command->add_flag("--ignore-eos", call->ignore_eos, "Go on after the end-of-sequence token");
  command->add_flag("--raw-output", options->raw_output,
                    "Write the answer as it is on a terminal too, where control characters are replaced otherwise");
  command->add_option("--timeout", options->timeout_seconds, "Give up after this many seconds")
      ->check(Number(0.001, 1e6))
      ->type_name("SECONDS");
  command->add_option("--request-id", call->request_id, "Name of the request, for logs");
  command
      ->add_option("--cache-salt", call->cache_salt,
                   "Share cached rows only with requests of the same salt (default: with those that have none)")
      ->type_name("TEXT");
}

void AddPromptOptions(CLI::App* command, PromptOptions* options) {
  using Source = PromptOptions::Source;
  CLI::Option_group* group = command->add_option_group("Prompt");
  auto set_source = [options](Source source) {
    return [options, source](const std::string&) { options->source = source; };
  };
  group->add_option("PROMPT", options->prompt, "What to ask")->each(set_source(Source::kPrompt));
  group->add_option("--prompt", options->prompt, "What to ask")->each(set_source(Source::kPrompt));
  group->add_option("--prompt-file", options->prompt_file, "File with the prompt; - is stdin")
      ->each(set_source(Source::kFile))
      ->type_name(kFileType);
  CLI::Option* tokens = group->add_option("--tokens", options->tokens, "Token ids, used as they are: 1,2,3")
                            ->check(CheckTokenList)
                            ->each(set_source(Source::kTokens))
                            ->type_name("IDS");
  CLI::Option* messages = group
                              ->add_option("--messages", options->chat.messages_file,
                                           "File with a chat, a JSON list of messages as OpenAI's API has them; - is "
                                           "stdin")
                              ->each(set_source(Source::kMessages))
                              ->type_name(kFileType);
  group->require_option(1);
  CLI::Option* raw = command->add_flag("--raw", options->raw, "Continue the text as it is, without the chat template")
                         ->excludes(messages);
  command->add_option("--system", options->system, "System message of the chat")
      ->excludes(raw)
      ->excludes(tokens)
      ->excludes(messages);
  AddToolsOption(command, &options->chat)->excludes(raw)->excludes(tokens);
  AddTemplateArgumentsOption(command, &options->chat)->excludes(raw)->excludes(tokens);
  command
      ->add_option(
          "--pin", options->pins,
          "Part of the prompt to keep whatever the policy says: message:N, the N-th chat message from 0, or A-B, "
          "code points A to B-1 of a plain text; can be given several times")
      ->allow_extra_args(false)
      ->check([](const std::string& text) { return std::string(ParsePin(text).status().message()); })
      ->type_name("SPAN");
  command
      ->add_option("--anchor-span", options->anchor_spans,
                   "Under a policy that inserts anchors: put one behind the code points A to B-1 of a plain text, and "
                   "none between sentences; can be given several times")
      ->allow_extra_args(false)
      ->check([](const std::string& text) { return std::string(ParseTextSpan(text).status().message()); })
      ->type_name("A-B")
      ->excludes(tokens);
  command->add_flag("--show-kept", options->show_kept,
                    "Print the prompt on stderr with the parts that were kept marked");
}

absl::StatusOr<Pin> ParsePin(absl::string_view text) {
  Pin pin;
  if (absl::ConsumePrefix(&text, "message:")) {
    uint32_t message = 0;
    if (absl::SimpleAtoi(text, &message)) {
      pin.message = message;
      return pin;
    }
  } else if (const absl::StatusOr<TextSpan> span = ParseTextSpan(text); span.ok()) {
    pin.begin = span->begin;
    pin.end = span->end;
    return pin;
  }
  return absl::InvalidArgumentError("is neither message:N nor A-B");
}

void AddFormatOption(CLI::App* command, const std::string& help, AnswerFormat* format) {
  command->add_option("--format", *format, help)
      ->transform(CLI::Transformer(std::vector<std::pair<std::string, AnswerFormat>>{{"text", AnswerFormat::kText},
                                                                                     {"json", AnswerFormat::kJson}})
                      .description(""))
      ->type_name("text|json")
      ->default_str("text");
}

bool MayBeChat(const PromptOptions& prompt) { return !prompt.raw && prompt.source != PromptOptions::Source::kTokens; }

absl::Status ReadPrompt(PromptOptions* options) {
  using Source = PromptOptions::Source;
  KEDGE_RETURN_IF_ERROR(ReadChatOptions(&options->chat));
  if (options->source != Source::kFile) return absl::OkStatus();  // flags have been checked
  absl::StatusOr<std::string> text = ReadFileOrStdin(options->prompt_file);
  if (!text.ok()) return OfField("--prompt-file", text.status());
  options->prompt = *std::move(text);
  return CheckText("--prompt-file", options->prompt);
}

absl::StatusOr<GenerateCall> MakeCall(const PromptOptions& prompt, const SamplingOptions& sampling,
                                      bool is_chat_model) {
  GenerateCall call = sampling.call;
  call.prompt_pieces = prompt.show_kept;
  for (const std::string& text : prompt.pins) {
    KEDGE_ASSIGN_OR_RETURN(const Pin pin, ParsePin(text));
    call.pins.push_back(pin);
  }
  if (sampling.timeout_seconds > 0) call.timeout = absl::Seconds(sampling.timeout_seconds);
  KEDGE_ASSIGN_OR_RETURN(call.stop_token_ids, ParseTokenList(sampling.stop_token_ids));

  if (prompt.source == PromptOptions::Source::kTokens) {
    KEDGE_ASSIGN_OR_RETURN(call.prompt, ParseTokenList(prompt.tokens));
    return call;
  }
  if (prompt.raw || !is_chat_model) {
    const std::string flag = prompt.system.empty() ? ChatFlagOf(prompt.chat) : "--system";
    if (!flag.empty()) return absl::InvalidArgumentError(absl::StrCat(flag, ": this is no chat model"));
    for (const Pin& pin : call.pins) {
      if (!pin.message.has_value()) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("--pin: message:", *pin.message, " is of a chat, and this is a plain text: give A-B"));
    }
    call.prompt = prompt.prompt;
    for (const std::string& span : prompt.anchor_spans) {
      KEDGE_ASSIGN_OR_RETURN(call.anchor_spans.emplace_back(), ParseTextSpan(span));
    }
    return call;
  }
  if (!prompt.anchor_spans.empty()) {
    return absl::InvalidArgumentError("--anchor-span: is for a plain text; give --raw");
  }
  for (const Pin& pin : call.pins) {
    if (pin.message.has_value()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "--pin: ", pin.begin, "-", pin.end, " is of a plain text, and this is a chat: give message:N, or --raw"));
  }
  Conversation conversation = prompt.chat.conversation;
  if (prompt.source != PromptOptions::Source::kMessages) {
    if (!prompt.system.empty()) conversation.messages.push_back({"system", prompt.system});
    conversation.messages.push_back({"user", prompt.prompt});
  }
  call.prompt = std::move(conversation);
  return call;
}

absl::Status NameFlag(const absl::Status& refusal) {
  if (!absl::IsInvalidArgument(refusal)) return refusal;
  static constexpr std::pair<absl::string_view, absl::string_view> kFlags[] = {
      {"request_id", "--request-id"},
      {"text", "the prompt"},
      {"token_ids", "--tokens"},
      {"token_ids.ids", "--tokens"},
      {"messages.messages", "--messages"},
      {"messages.tools", "--tools"},
      {"cache_options.policy", "--policy"},
      {"cache_options.cache_salt", "--cache-salt"},
      {"cache_options.pinned", "--pin"},
      {"cache_options.anchor_spans", "--anchor-span"},
  };
  const absl::string_view message = refusal.message();
  absl::string_view field = message.substr(0, message.find_first_of(":["));
  const absl::string_view rest = message.substr(field.size());  // ": is ...", or "[0].begin: is ..."
  for (const auto& [name, flag] : kFlags) {
    if (field == name) return absl::InvalidArgumentError(absl::StrCat(flag, rest));
  }
  if (absl::ConsumePrefix(&field, "messages.template_arguments.")) {
    return absl::InvalidArgumentError(absl::StrCat("--template-arguments: ", field, rest));
  }
  if (!absl::ConsumePrefix(&field, "sampling_params.")) return refusal;
  return absl::InvalidArgumentError(absl::StrCat("--", absl::StrReplaceAll(field, {{"_", "-"}}), rest));
}

}  // namespace kedge
