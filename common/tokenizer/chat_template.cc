// A conversation is rendered twice, with and without a request for an answer: the difference is what opens one.
//
// What else differs between templates is found out by rendering small conversations when one is loaded: whether it
// opens an answer in any case, and in which form it can write the arguments of calls.
//
// Tested by chat_template_test.cc, chat_golden_test.cc and tokenizer_golden_test.cc.
#include "common/tokenizer/chat_template.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "common/tokenizer/chat_encoder.h"
#include "common/tokenizer/chat_template_source.h"
#include "common/tokenizer/vocabulary.h"

namespace kedge {
namespace {

using jinja::Value;

constexpr char kTemplateKey[] = "tokenizer.chat_template";
constexpr char kToolTemplateKey[] = "tokenizer.chat_template.tool_use";
constexpr absl::string_view kWayOut = ". Send the prompt as plain text (--raw, or the field text) or as token ids";

constexpr std::pair<const char*, const char*> kSpecialTokens[] = {
    {"bos_token", "tokenizer.ggml.bos_token_id"},       {"eos_token", "tokenizer.ggml.eos_token_id"},
    {"unk_token", "tokenizer.ggml.unknown_token_id"},   {"pad_token", "tokenizer.ggml.padding_token_id"},
    {"sep_token", "tokenizer.ggml.seperator_token_id"},  // as GGUF spells it
    {"cls_token", "tokenizer.ggml.cls_token_id"},       {"mask_token", "tokenizer.ggml.mask_token_id"}};

// Whoever looks for what was left out renders once more for each that is suspected.
constexpr int kMostSuspects = 4;

// For all the short chats together by which a template is found out: models' own take some hundred steps for each.
constexpr int64_t kProbeSteps = 200'000;

bool IsBlank(const std::optional<std::string>& text) { return !text.has_value() || StripWhiteSpace(*text).empty(); }

// Which parts of a message stand in a rendering.
struct Written {
  bool content = false;
  bool fields = false;
};

std::vector<Written> FindWritten(const RenderedChat& chat) {
  std::vector<Written> written(chat.messages);
  for (const RenderedChat::Run& run : chat.runs) {
    const std::optional<size_t> message = MessageOf(run.origin);
    if (message.has_value()) (IsContent(run.origin) ? written[*message].content : written[*message].fields) = true;
  }
  return written;
}

bool HasTools(const RenderedChat& chat) {
  return std::any_of(chat.runs.begin(), chat.runs.end(),
                     [](const RenderedChat::Run& run) { return run.origin == kToolsOrigin; });
}

}  // namespace

absl::StatusOr<std::unique_ptr<const ChatTemplate>> ChatTemplate::Load(const GgufFile& file,
                                                                       const Tokenizer* tokenizer) {
  if (!file.Has(kTemplateKey)) {
    return absl::NotFoundError(absl::StrCat(file.name(), ": has no ", kTemplateKey, ": not a chat model", kWayOut));
  }
  KEDGE_ASSIGN_OR_RETURN(const std::string source, file.GetString(kTemplateKey));
  KEDGE_ASSIGN_OR_RETURN(std::unique_ptr<const ChatTemplate> plain,
                         Create(source, absl::StrCat(file.name(), ": ", kTemplateKey), file, tokenizer));
  if (!file.Has(kToolTemplateKey)) return plain;
  KEDGE_ASSIGN_OR_RETURN(const std::string tool_source, file.GetString(kToolTemplateKey));
  KEDGE_ASSIGN_OR_RETURN(std::unique_ptr<const ChatTemplate> tools,
                         Create(tool_source, absl::StrCat(file.name(), ": ", kToolTemplateKey), file, tokenizer));
  auto both = std::unique_ptr<ChatTemplate>(new ChatTemplate(*plain));
  both->with_tools_ = tools->plain_;
  return std::unique_ptr<const ChatTemplate>(std::move(both));
}

absl::StatusOr<std::unique_ptr<const ChatTemplate>> ChatTemplate::Create(absl::string_view source,
                                                                         absl::string_view name, const GgufFile& file,
                                                                         const Tokenizer* tokenizer) {
  auto result = std::unique_ptr<ChatTemplate>(new ChatTemplate(tokenizer));
  result->source_ = std::string(source);
  result->ReadSpecialTokens(file);
  absl::StatusOr<Variant> variant = result->MakeVariant(source);
  if (!variant.ok()) {
    return absl::Status(variant.status().code(), absl::StrCat(name, ": ", variant.status().message(), kWayOut));
  }
  result->plain_ = std::make_shared<const Variant>(*std::move(variant));
  return std::unique_ptr<const ChatTemplate>(std::move(result));
}

void ChatTemplate::ReadSpecialTokens(const GgufFile& file) {
  for (const auto& [name, key] : kSpecialTokens) {
    special_names_.push_back(name);
    const auto id = ReadTokenId(file, key, static_cast<uint32_t>(tokenizer_->vocab_size()));
    if (!id.ok() || !id->has_value()) continue;  // undefined, as in transformers
    special_tokens_.emplace_back(name, Value::Text(tokenizer_->TokenBytes(**id)));
  }
}

absl::StatusOr<ChatTemplate::Variant> ChatTemplate::MakeVariant(absl::string_view source) const {
  KEDGE_ASSIGN_OR_RETURN(jinja::Template program, ParseChatTemplate(source));
  Variant variant{std::move(program)};
  jinja::Limits limits;
  limits.steps = kProbeSteps;
  limits.output_bytes = 1 << 20;
  variant.form = FindArgumentsForm(variant.program, limits);
  variant.constant_opener = FindConstantOpenerOf(variant.program, limits);
  if (limits.steps > 0) return variant;
  return absl::ResourceExhaustedError(
      absl::StrCat("is too slow: it takes more than ", kProbeSteps, " steps for a few short chats"));
}

absl::StatusOr<RenderedChat> ChatTemplate::RenderOnce(const jinja::Template& program, const ChatInput& input,
                                                      bool opens_answer, absl::Time now, jinja::Limits& limits) const {
  std::vector<std::pair<std::string, Value>> variables = special_tokens_;
  variables.insert(variables.end(), input.arguments.begin(), input.arguments.end());
  variables.emplace_back("messages", Value::List(input.messages));
  variables.emplace_back("tools", input.tools);
  variables.emplace_back("documents", Value::None());
  variables.emplace_back("add_generation_prompt", Value::Bool(opens_answer));
  int64_t steps = 0;
  absl::StatusOr<std::vector<jinja::Piece>> pieces =
      program.Render(Value::Dict(std::move(variables)), now, limits, &steps);
  limits.steps = std::max<int64_t>(limits.steps - steps, 0);
  if (!pieces.ok()) {
    return absl::Status(pieces.status().code(), absl::StrCat("chat template: ", pieces.status().message()));
  }
  RenderedChat chat = Flatten(*pieces);
  chat.messages = input.messages.size();
  chat.turn = chat.messages - 1;
  return chat;
}

ArgumentsForm ChatTemplate::FindArgumentsForm(const jinja::Template& program, jinja::Limits& limits) const {
  Conversation probe;
  probe.messages = {{.role = "user", .content = "x"},
                    {.role = "assistant", .tool_calls = {{"call00001", "f", R"({"needle": "y"})"}}},  // Mistral's: 9
                    {.role = "tool", .content = "z", .tool_call_id = "call00001", .name = "f"}};
  probe.tools = {{.name = "f", .description = "", .parameters = R"({"type": "object", "properties": {}})"}};
  for (const ArgumentsForm form : {ArgumentsForm::kObject, ArgumentsForm::kText}) {
    const absl::StatusOr<ChatInput> input = MakeChatInput(probe, form, special_names_);
    if (!input.ok()) continue;
    const absl::StatusOr<RenderedChat> chat = RenderOnce(program, *input, true, probe.now, limits);
    if (chat.ok() && absl::StrContains(chat->text, "\"needle\"")) return form;
  }
  return ArgumentsForm::kObject;
}

std::string ChatTemplate::FindConstantOpenerOf(const jinja::Template& program, jinja::Limits& limits) const {
  const auto render = [&](int messages, bool opens_answer) -> absl::StatusOr<RenderedChat> {
    Conversation probe;
    for (int i = 0; i < messages; ++i) probe.messages.push_back({.role = "user", .content = "x"});
    KEDGE_ASSIGN_OR_RETURN(const ChatInput input, MakeChatInput(probe, ArgumentsForm::kObject, special_names_));
    return RenderOnce(program, input, opens_answer, probe.now, limits);
  };
  const absl::StatusOr<RenderedChat> asked = render(1, true), unasked = render(1, false);
  if (!asked.ok() || !unasked.ok() || asked->text != unasked->text) return "";
  const absl::StatusOr<RenderedChat> two = render(2, false);
  return FindConstantOpener(*tokenizer_, *unasked, two.ok() ? &*two : nullptr);
}

absl::Status ChatTemplate::CheckAllWritten(const Variant& variant, const Conversation& conversation,
                                           const ChatInput& input, const RenderedChat& chat, bool opens_answer,
                                           jinja::Limits& limits) const {
  // What is not written may still be read, such as "/no_think": another one is written then. (The template may also
  // refuse the other one; a chat that has used its steps up is another matter.)
  const auto is_read = [&](const ChatInput& other) -> absl::StatusOr<bool> {
    const auto rendered = RenderOnce(variant.program, other, opens_answer, conversation.now, limits);
    if (absl::IsResourceExhausted(rendered.status())) return rendered.status();
    return !rendered.ok() || rendered->text != chat.text;
  };
  int suspects = 0;
  if (!conversation.tools.empty() && !HasTools(chat)) {
    ++suspects;
    ChatInput other = input;
    other.tools = Value::None();
    KEDGE_ASSIGN_OR_RETURN(const bool tools_are_read, is_read(other));
    if (!tools_are_read) {
      return absl::InvalidArgumentError("messages.tools: the model's chat template does not show them to the model");
    }
  }
  const std::vector<Written> written = FindWritten(chat);
  for (size_t i = 0; i < written.size() && suspects < kMostSuspects; ++i) {
    const ChatMessage& message = conversation.messages[i];
    // Thoughts may be left out, as templates show those of the last turn alone, and a text beside calls.
    const bool lacks_calls = !written[i].fields && !message.tool_calls.empty();
    const bool lacks_text =
        !written[i].content && !IsBlank(message.content) && (message.tool_calls.empty() || lacks_calls);
    if (!lacks_text && !lacks_calls) continue;
    ++suspects;
    const std::string content = message.content.value_or("");
    ChatInput other = input;
    other.messages[i] = WithoutCalls(input.messages[i], lacks_text ? (content == "x" ? "y" : "x") : content, i);
    KEDGE_ASSIGN_OR_RETURN(const bool message_is_read, is_read(other));
    if (message_is_read) continue;
    const std::string path = absl::StrCat("messages.messages[", i, "]");
    return absl::InvalidArgumentError(
        lacks_text
            ? absl::StrCat(path, ".role: is ", message.role, "; the model's chat template leaves the message out")
            : absl::StrCat(path, ".tool_calls: the model's chat template leaves them out"));
  }
  return absl::OkStatus();
}

absl::StatusOr<RenderedChat> ChatTemplate::Render(const Conversation& conversation, const jinja::Limits& given) const {
  const Variant& variant = with_tools_ != nullptr && !conversation.tools.empty() ? *with_tools_ : *plain_;
  KEDGE_ASSIGN_OR_RETURN(const ChatInput input, MakeChatInput(conversation, variant.form, special_names_));
  jinja::Limits limits = given;
  const bool opens_answer = conversation.add_generation_prompt;
  const auto render = [&](bool opens) { return RenderOnce(variant.program, input, opens, conversation.now, limits); };
  KEDGE_ASSIGN_OR_RETURN(RenderedChat chat, render(opens_answer));
  const absl::StatusOr<RenderedChat> other = render(!opens_answer);
  if (absl::IsResourceExhausted(other.status())) return other.status();
  KEDGE_RETURN_IF_ERROR(CheckAllWritten(variant, conversation, input, chat, opens_answer, limits));

  std::string opener;
  if (other.ok()) opener = opens_answer ? FindOpener(chat, *other) : FindOpener(*other, chat);
  bool opened = opens_answer;
  if (opener.empty()) {
    opener = variant.constant_opener;
    opened = true;
  }
  if (conversation.continue_final_message) {
    const size_t last = conversation.messages.size() - 1;
    if (!CutBehindContent(&chat, last)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "messages.messages[", last, "].content: cannot be continued: the model's chat template leaves it out"));
    }
    opened = false;
    if (last > 0) chat.turn = last - 1;
  }
  std::vector<bool> is_answer;
  for (size_t i = 0; i < conversation.messages.size(); ++i) {
    const std::string& role = conversation.messages[i].role;
    is_answer.push_back(role == "assistant");
    if (role == "user") chat.user.push_back(i);
    if (role == "system" || role == "developer") chat.system.push_back(i);
  }
  chat.openers = FindOpeners(chat, is_answer, opener, opened);
  return chat;
}

absl::StatusOr<PromptTokens> ChatTemplate::Encode(const RenderedChat& chat, std::optional<uint32_t> anchor) const {
  absl::StatusOr<PromptTokens> tokens = EncodeChat(*tokenizer_, chat, anchor);
  if (!tokens.ok()) return absl::Status(tokens.status().code(), absl::StrCat("messages: ", tokens.status().message()));
  return tokens;
}

absl::StatusOr<PromptTokens> ChatTemplate::Apply(const Conversation& conversation,
                                                 std::optional<uint32_t> anchor) const {
  KEDGE_ASSIGN_OR_RETURN(const RenderedChat chat, Render(conversation));
  return Encode(chat, anchor);
}

}  // namespace kedge
