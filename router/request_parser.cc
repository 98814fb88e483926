// Each field is checked where it is read, in the order of the proto; the first one that is wrong is the answer. Cheap
// checks come before the tokenizer. Messages name the field and the limit, and repeat numbers and ids, but never a
// prompt.
//
// Tested by request_parser_test.cc and request_parser_chat_test.cc.
#include "router/request_parser.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/error_reason.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "common/model/config.h"
#include "common/rpc/request_id.h"
#include "common/tokenizer/anchored_text.h"
#include "common/tokenizer/chat_template_source.h"
#include "common/tokenizer/conversation.h"
#include "common/tokenizer/cut_strength.h"
#include "common/tokenizer/policy_names.h"
#include "common/tokenizer/question_marks.h"
#include "common/tokenizer/sentence_splitter.h"
#include "common/tokenizer/sequence_ends.h"
#include "router/cache_domain.h"
#include "router/chat_request.h"
#include "router/request_limits.h"

namespace kedge {
namespace {

constexpr uint32_t kMaxCompletions = 16;
constexpr size_t kMaxNameBytes = 256;
constexpr uint32_t kMaxLogprobs = 20;
// A chat template takes some hundred steps for a message, which is tens of tokens; and it is rendered twice at least.
constexpr int64_t kTemplateSteps = 1'000'000;
constexpr int64_t kTemplateStepsPerToken = 128;

// The status with `field` in front of its message, as kInvalidArgument.
absl::Status InField(absl::string_view field, const absl::Status& status) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", status.message()));
}

absl::Status CheckNumber(float value, bool in_range, absl::string_view field, absl::string_view range) {
  if (std::isnan(value)) return absl::InvalidArgumentError(absl::StrCat(field, ": is NaN; must be ", range));
  if (std::isinf(value)) return absl::InvalidArgumentError(absl::StrCat(field, ": is infinite; must be ", range));
  if (!in_range) return absl::InvalidArgumentError(absl::StrCat(field, ": is ", value, "; must be ", range));
  return absl::OkStatus();
}

absl::Status CheckBetween(float value, float low, float high, absl::string_view field) {
  return CheckNumber(value, value >= low && value <= high, field, absl::StrCat("in [", low, ", ", high, "]"));
}

// Names go into messages of proto3, whose strings are UTF-8; GGUF files promise nothing.
absl::StatusOr<std::string> ChooseName(const std::string& wanted, const std::string& own, const std::string& path) {
  if (!wanted.empty()) {
    if (!FindInvalidUtf8(wanted).has_value()) return wanted;
    return absl::InvalidArgumentError("--model-name: is not valid UTF-8");
  }
  if (!FindInvalidUtf8(own).has_value()) return own;
  const std::string stem = std::filesystem::path(path).stem().string();
  if (!FindInvalidUtf8(stem).has_value()) return stem;
  return absl::InvalidArgumentError(
      "--model-name: is needed, as neither general.name nor the file's name is valid UTF-8");
}

size_t CountCharacters(absl::string_view utf8) {
  return static_cast<size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

// Where these characters begin, in ascending order, and each once; the text's size stands for the one after the last.
// (A list of all of them would be eight times the text.) REQUIRES: text is valid UTF-8, and has them.
std::map<uint32_t, size_t> CharacterOffsets(absl::string_view text, std::vector<uint32_t> characters) {
  std::sort(characters.begin(), characters.end());
  std::map<uint32_t, size_t> offsets;
  uint32_t at_character = 0;
  size_t at = 0;
  for (const uint32_t character : characters) {
    for (; at_character < character; ++at_character) at += ReadCharacter(text.substr(at)).length;
    offsets[character] = at;
  }
  return offsets;
}

// The byte offsets of the spans' ends. REQUIRES: text is valid UTF-8.
absl::StatusOr<std::vector<size_t>> FindSpanEnds(absl::string_view text, const AnchorSpans& spans) {
  const size_t characters = CountCharacters(text);
  std::vector<uint32_t> span_ends;
  uint32_t last = 0;  // where the span before ends
  for (int i = 0; i < spans.size(); ++i) {
    const uint32_t begin = spans[i].begin(), end = spans[i].end();
    const std::string field = absl::StrCat("cache_options.anchor_spans[", i, "]");
    if (begin < last) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".begin: is ", begin, "; the span before it ends at ", last));
    }
    if (end <= begin) {
      return absl::InvalidArgumentError(absl::StrCat(field, ".end: is ", end, "; must be above begin, ", begin));
    }
    if (end > characters) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".end: is ", end, "; the text has ", characters, " code points"));
    }
    span_ends.push_back(end);
    last = end;
  }
  std::vector<size_t> ends;
  for (const auto& [character, offset] : CharacterOffsets(text, span_ends)) ends.push_back(offset);
  return ends;
}

// Of Tokenize's text.
absl::Status CheckListed(size_t tokens) {
  if (tokens <= kMaxListedTokens) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("text: has more than ", kMaxListedTokens, " tokens, which are all that are listed"));
}

absl::StatusOr<std::unique_ptr<const ChatTemplate>> ReadChatTemplate(const std::string& path, const GgufFile& file,
                                                                     const Tokenizer* tokenizer) {
  KEDGE_ASSIGN_OR_RETURN(const std::string source, ReadChatTemplateFile(path));
  return ChatTemplate::Create(source, absl::StrCat("--chat-template: ", Printable(path)), file, tokenizer);
}

}  // namespace

absl::StatusOr<std::unique_ptr<const RouterModel>> LoadRouterModel(const ModelFiles& files, const std::string& name,
                                                                   const std::string& policy,
                                                                   uint32_t default_max_tokens,
                                                                   const std::string& chat_template) {
  const GgufFile& file = *files.base;
  KEDGE_ASSIGN_OR_RETURN(const ModelConfig config, LoadConfig(file));
  auto model = std::make_unique<RouterModel>();
  KEDGE_ASSIGN_OR_RETURN(model->name, ChooseName(name, config.name, file.name()));
  model->context_length = static_cast<uint32_t>(config.context_length);
  model->vocab_size = static_cast<uint32_t>(config.vocab_size);
  model->default_max_tokens = default_max_tokens;
  KEDGE_ASSIGN_OR_RETURN(model->tokenizer, Tokenizer::Load(file));
  for (uint32_t id = 0; id < static_cast<uint32_t>(model->tokenizer->vocab_size()); ++id) {
    const absl::string_view bytes = model->tokenizer->TokenBytes(id);
    model->longest_spelling = std::max(model->longest_spelling, bytes.size());
    if (model->tokenizer->IsSpecial(id)) continue;  // no text becomes it
    if (bytes.size() == 1) model->token_bytes.set(static_cast<uint8_t>(bytes[0]));
  }

  auto loaded = chat_template.empty() ? ChatTemplate::Load(file, model->tokenizer.get())
                                      : ReadChatTemplate(chat_template, file, model->tokenizer.get());
  if (loaded.ok()) {
    model->chat_template = *std::move(loaded);
  } else if (!chat_template.empty()) {
    return loaded.status();  // who names a file means it
  } else {
    // It names a file, whose name may be any bytes, and becomes a text of a message.
    model->chat_template_status = absl::Status(loaded.status().code(), Printable(loaded.status().message()));
  }

  KEDGE_ASSIGN_OR_RETURN(model->policy_names, FindPolicyNames(file, *model->tokenizer, files.adapter_policy()));
  absl::StatusOr<Policy> default_policy = ParsePolicy(policy, model->policy_names);
  if (!default_policy.ok()) {
    return absl::Status(default_policy.status().code(),
                        absl::StrCat(!policy.empty()                  ? "--policy"
                                     : files.adapter_policy().empty() ? "kedge.anchor.policy"
                                                                      : "kedge.anchor.policy of the adapter",
                                     ": ", default_policy.status().message()));
  }
  model->policy = *std::move(default_policy);
  model->default_policy = CanonicalPolicy(model->policy);
  model->readable_default_policy = ReadablePolicy(model->policy, model->policy_names);
  return model;
}

absl::Status RequestParser::CheckModel(absl::string_view model) const {
  if (model.empty() || model == model_->name) return absl::OkStatus();
  if (model.size() > kMaxNameBytes) {
    return absl::NotFoundError(absl::StrCat("model: there is none with a name of ", model.size(), " bytes"));
  }
  return absl::NotFoundError(
      absl::StrCat("model: there is no \"", Printable(model), "\"; served is \"", model_->name, "\""));
}

absl::Status RequestParser::CheckTokenId(uint32_t id, absl::string_view field) const {
  if (id < model_->vocab_size) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": token id ", id, " is out of range; the vocabulary has ", model_->vocab_size));
}

absl::Status RequestParser::CheckFits(size_t tokens, bool or_more, absl::string_view field) const {
  if (tokens + 1 <= model_->context_length) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, ": has ", or_more ? "at least " : "", tokens,
                                                 " tokens; the context of ", model_->context_length,
                                                 " leaves no room for an answer"));
}

size_t RequestParser::LeastTokens(absl::string_view text, bool inserts) const {
  const auto bytes = static_cast<size_t>(std::count_if(text.begin(), text.end(), [&](char c) {
    const uint8_t byte = static_cast<uint8_t>(c);
    // (White space is at most U+0020 or not ASCII.)
    return model_->token_bytes[byte] && (!inserts || (byte > 0x20 && byte < 0x80));
  }));
  return (bytes + model_->tokenizer->longest_text() - 1) / model_->tokenizer->longest_text();
}

// What a template writes itself may be special tokens, however long.
size_t RequestParser::LeastTokens(const RenderedChat& chat, bool inserts) const {
  size_t least = 0;
  for (const RenderedChat::Run& run : chat.runs) {
    if (run.origin == jinja::kTemplate) continue;
    least += LeastTokens(absl::string_view(chat.text).substr(run.begin, run.end - run.begin), inserts);
  }
  return least;
}

absl::StatusOr<PromptTokens> RequestParser::TokenizeText(absl::string_view text, std::optional<uint32_t> insert,
                                                         const AnchorSpans& spans) const {
  if (const std::optional<size_t> offset = FindInvalidUtf8(text)) {
    return absl::InvalidArgumentError(absl::StrCat("text: not valid UTF-8 at byte ", *offset));
  }
  std::vector<size_t> places;  // of anchors
  if (!spans.empty()) {
    KEDGE_ASSIGN_OR_RETURN(places, FindSpanEnds(text, spans));
  } else if (insert.has_value()) {
    places = FindSentenceBreaks(text);
  }
  absl::StatusOr<std::vector<uint32_t>> ids = EncodePrompt(*model_->tokenizer, text, places, insert.value_or(0));
  if (!ids.ok()) return InField("text", ids.status());
  PromptTokens tokens{.ids = *std::move(ids)};
  tokens.no_anchor.resize(tokens.ids.size(), false);
  return tokens;
}

// A text prompt as pins see it. Made once for a request: there may be as many pins as the text has characters.
struct RequestParser::PinnedText {
  std::map<uint32_t, size_t> offsets;  // of the pins' characters
  std::vector<TextToken> tokens;       // without the one that begins every prompt
};

absl::StatusOr<std::vector<PositionRange>> RequestParser::PinnedTokens(const inference::v1::PinnedSpan& span,
                                                                       const inference::v1::GenerateRequest& request,
                                                                       const PromptTokens& tokens, bool inserts,
                                                                       const PinnedText& text,
                                                                       absl::string_view field) const {
  switch (span.span_case()) {
    case inference::v1::PinnedSpan::kMessage:
      if (!request.has_messages()) {
        return absl::InvalidArgumentError(
            absl::StrCat(field, ".message: the prompt has no messages, but the field ",
                         request.has_text() ? "text, of which code points can be pinned (text)" : "token_ids"));
      }
      if (span.message() >= tokens.messages.size()) {
        return absl::InvalidArgumentError(absl::StrCat(field, ".message: ", span.message(), " is not below the ",
                                                       tokens.messages.size(), " messages"));
      }
      return tokens.messages[span.message()];
    case inference::v1::PinnedSpan::kText: {
      if (!request.has_text()) {
        return absl::InvalidArgumentError(
            absl::StrCat(field, ".text: the prompt has no field text, but ",
                         request.has_messages() ? "messages, which can be pinned whole (message)" : "token_ids"));
      }
      if (inserts) {
        return absl::InvalidArgumentError(
            absl::StrCat(field, ".text: cannot be told from the text under a policy that inserts anchors into it"));
      }
      const uint32_t begin = span.text().begin(), end = span.text().end();
      if (begin >= end || !text.offsets.contains(end)) {
        return absl::InvalidArgumentError(
            absl::StrCat(field, ".text: [", begin, ", ", end, ") is empty or goes beyond the text"));
      }
      const PositionRange range =
          TokensOfBytes(text.tokens, request.text().size(), text.offsets.at(begin), text.offsets.at(end));
      const auto before = static_cast<uint32_t>(tokens.ids.size() - text.tokens.size());
      return std::vector<PositionRange>{{before + range.begin, before + range.end}};
    }
    case inference::v1::PinnedSpan::SPAN_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(absl::StrCat(field, ": one of message and text is required"));
}

absl::Status RequestParser::ParsePinned(const inference::v1::GenerateRequest& request, const PromptTokens& tokens,
                                        RouterRequest* parsed) const {
  const bool inserts = parsed->hidden_id.has_value();
  const auto& spans = request.cache_options().pinned();
  PinnedText text;
  if (request.has_text() && !inserts && !spans.empty()) {
    absl::StatusOr<std::vector<TextToken>> encoded = model_->tokenizer->EncodeWithOffsets(request.text());
    if (!encoded.ok()) return InField("text", encoded.status());
    const size_t size = CountCharacters(request.text());
    std::vector<uint32_t> characters;
    for (const inference::v1::PinnedSpan& span : spans) {
      for (const uint32_t character : {span.text().begin(), span.text().end()}) {
        if (character <= size) characters.push_back(character);
      }
    }
    text = {.offsets = CharacterOffsets(request.text(), std::move(characters)), .tokens = *std::move(encoded)};
  }
  std::vector<PositionRange> pinned;
  for (int i = 0; i < spans.size(); ++i) {
    KEDGE_ASSIGN_OR_RETURN(
        const std::vector<PositionRange> ranges,
        PinnedTokens(spans[i], request, tokens, inserts, text, absl::StrCat("cache_options.pinned[", i, "]")));
    pinned.insert(pinned.end(), ranges.begin(), ranges.end());
  }
  // No choice knows that an answer may need them.
  if (parsed->chooses) pinned.insert(pinned.end(), tokens.tools.begin(), tokens.tools.end());
  parsed->pinned = UnionOf(std::move(pinned));
  return absl::OkStatus();
}

absl::StatusOr<PromptTokens> RequestParser::TokenizeMessages(const inference::v1::ChatMessages& messages,
                                                             std::optional<uint32_t> insert) const {
  if (model_->chat_template == nullptr) return InField("messages", model_->chat_template_status);
  KEDGE_ASSIGN_OR_RETURN(const Conversation conversation, ToConversation(messages, clock_->Now()));
  jinja::Limits limits;  // what is longer than the longest prompt need not be written
  limits.output_bytes = std::min(limits.output_bytes, model_->context_length * model_->longest_spelling);
  limits.steps = std::min<int64_t>(2 * limits.steps, kTemplateSteps + kTemplateStepsPerToken * model_->context_length);
  const absl::StatusOr<RenderedChat> chat = model_->chat_template->Render(conversation, limits);
  if (absl::IsResourceExhausted(chat.status())) {
    return absl::InvalidArgumentError(absl::StrCat("messages: are too much for a context of ", model_->context_length,
                                                   " tokens (", chat.status().message(), ")"));
  }
  if (!chat.ok()) return WithField(chat.status(), "messages");
  KEDGE_RETURN_IF_ERROR(CheckFits(LeastTokens(*chat, insert.has_value()), /*or_more=*/true, "messages"));
  return model_->chat_template->Encode(*chat, insert);
}

absl::StatusOr<std::vector<uint32_t>> RequestParser::Tokenize(const inference::v1::TokenizeRequest& request) const {
  KEDGE_RETURN_IF_ERROR(CheckModel(request.model()));
  absl::StatusOr<PromptTokens> tokens = absl::InvalidArgumentError("prompt: one of text and messages is required");
  const std::optional<uint32_t> insert = model_->policy.insert;
  if (request.has_text()) tokens = TokenizeText(request.text(), insert, {});
  if (request.has_messages()) tokens = TokenizeMessages(request.messages(), insert);
  if (!tokens.ok()) return tokens.status();
  KEDGE_RETURN_IF_ERROR(CheckListed(tokens->ids.size()));
  return std::move(tokens->ids);
}

absl::Status RequestParser::ParsePrompt(const inference::v1::GenerateRequest& request, const Policy& policy,
                                        RouterRequest* parsed) const {
  const bool inserts = parsed->hidden_id.has_value();
  const AnchorSpans& spans = request.cache_options().anchor_spans();
  if (!spans.empty() && !request.has_text()) {
    return absl::InvalidArgumentError("cache_options.anchor_spans: are places in the field text, which is not set");
  }
  if (!spans.empty() && !inserts) {
    return absl::InvalidArgumentError(
        "cache_options.anchor_spans: the policy inserts no anchors (insert=off), as anllm-ac would");
  }
  absl::string_view field;
  PromptTokens tokens;
  switch (request.prompt_case()) {
    case inference::v1::GenerateRequest::kText: {
      field = "text";
      if (request.text().empty()) return absl::InvalidArgumentError("text: is empty");
      KEDGE_RETURN_IF_ERROR(CheckFits(LeastTokens(request.text(), inserts), /*or_more=*/true, field));
      KEDGE_ASSIGN_OR_RETURN(tokens, TokenizeText(request.text(), parsed->hidden_id, spans));
      break;
    }
    case inference::v1::GenerateRequest::kTokenIds: {
      field = "token_ids";
      const auto& ids = request.token_ids().ids();
      KEDGE_RETURN_IF_ERROR(CheckFits(static_cast<size_t>(ids.size()), /*or_more=*/false, field));
      for (int i = 0; i < ids.size(); ++i) {
        KEDGE_RETURN_IF_ERROR(CheckTokenId(ids[i], absl::StrCat("token_ids.ids[", i, "]")));
      }
      tokens.ids.assign(ids.begin(), ids.end());
      tokens.no_anchor.resize(tokens.ids.size(), false);
      break;
    }
    case inference::v1::GenerateRequest::kMessages: {
      field = "messages";
      KEDGE_ASSIGN_OR_RETURN(tokens, TokenizeMessages(request.messages(), parsed->hidden_id));
      break;
    }
    case inference::v1::GenerateRequest::PROMPT_NOT_SET:
      return absl::InvalidArgumentError("prompt: one of text, token_ids and messages is required");
  }
  if (tokens.ids.empty()) return absl::InvalidArgumentError(absl::StrCat(field, ": is empty"));
  KEDGE_RETURN_IF_ERROR(CheckFits(tokens.ids.size(), /*or_more=*/false, field));
  KEDGE_RETURN_IF_ERROR(ParsePinned(request, tokens, parsed));
  parsed->turn_begin = tokens.turn_begin;
  if (parsed->chooses) parsed->question_marks = FindQuestionMarks(*model_->tokenizer, tokens);
  parsed->user = std::move(tokens.user);
  parsed->system = std::move(tokens.system);
  if (policy.text_anchors) {
    parsed->sequence_ends = FindSequenceEnds(FindCutStrengths(*model_->tokenizer, tokens), policy.longest);
  } else {
    parsed->no_anchor_positions = PositionsOf(tokens.no_anchor);
  }
  parsed->prompt_ids = std::move(tokens.ids);
  return absl::OkStatus();
}

absl::Status RequestParser::ParseSampling(const inference::v1::SamplingParams& params, RouterRequest* parsed) const {
  if (params.has_temperature()) {
    parsed->temperature = params.temperature();
    KEDGE_RETURN_IF_ERROR(
        CheckNumber(parsed->temperature, parsed->temperature >= 0, "sampling_params.temperature", "at least 0"));
  }
  if (params.has_top_p()) {
    parsed->top_p = params.top_p();
    KEDGE_RETURN_IF_ERROR(
        CheckNumber(parsed->top_p, parsed->top_p > 0 && parsed->top_p <= 1, "sampling_params.top_p", "in (0, 1]"));
  }
  if (params.has_top_k()) {
    if (params.top_k() < -1) {
      return absl::InvalidArgumentError(
          absl::StrCat("sampling_params.top_k: is ", params.top_k(), "; must be at least 1, or 0 or -1 for off"));
    }
    parsed->top_k = static_cast<uint32_t>(std::max(params.top_k(), 0));
  }
  if (params.has_min_p()) {
    parsed->min_p = params.min_p();
    KEDGE_RETURN_IF_ERROR(CheckBetween(parsed->min_p, 0, 1, "sampling_params.min_p"));
  }
  if (params.has_frequency_penalty()) {
    parsed->frequency_penalty = params.frequency_penalty();
    KEDGE_RETURN_IF_ERROR(CheckBetween(parsed->frequency_penalty, -2, 2, "sampling_params.frequency_penalty"));
  }
  if (params.has_presence_penalty()) {
    parsed->presence_penalty = params.presence_penalty();
    KEDGE_RETURN_IF_ERROR(CheckBetween(parsed->presence_penalty, -2, 2, "sampling_params.presence_penalty"));
  }
  if (params.has_repetition_penalty()) {
    parsed->repetition_penalty = params.repetition_penalty();
    KEDGE_RETURN_IF_ERROR(CheckNumber(parsed->repetition_penalty, parsed->repetition_penalty > 0,
                                      "sampling_params.repetition_penalty", "above 0"));
  }
  parsed->max_tokens = model_->default_max_tokens;
  if (params.has_max_tokens()) {
    parsed->max_tokens = params.max_tokens();
    if (parsed->max_tokens == 0) {
      return absl::InvalidArgumentError("sampling_params.max_tokens: is 0; must be at least 1");
    }
    if (parsed->max_tokens > model_->context_length) {
      return absl::InvalidArgumentError(absl::StrCat("sampling_params.max_tokens: is ", parsed->max_tokens,
                                                     "; must be at most the context, ", model_->context_length));
    }
  }
  parsed->min_tokens = params.min_tokens();
  if (parsed->min_tokens > parsed->max_tokens) {
    return absl::InvalidArgumentError(absl::StrCat("sampling_params.min_tokens: is ", parsed->min_tokens,
                                                   "; must be at most max_tokens, ", parsed->max_tokens,
                                                   params.has_max_tokens() ? "" : " by default"));
  }
  if (params.stop_size() > static_cast<int>(kMaxStopStrings)) {
    return absl::InvalidArgumentError(absl::StrCat("sampling_params.stop: has ", params.stop_size(),
                                                   " strings; at most ", kMaxStopStrings, " are allowed"));
  }
  for (int i = 0; i < params.stop_size(); ++i) {
    if (params.stop(i).empty()) {
      return absl::InvalidArgumentError(absl::StrCat("sampling_params.stop[", i, "]: is empty"));
    }
    if (params.stop(i).size() > kMaxStopBytes) {
      return absl::InvalidArgumentError(absl::StrCat("sampling_params.stop[", i, "]: has ", params.stop(i).size(),
                                                     " bytes; at most ", kMaxStopBytes, " are allowed"));
    }
  }
  parsed->stop = std::vector<std::string>(params.stop().begin(), params.stop().end());
  if (!params.ignore_eos()) parsed->end_ids = model_->tokenizer->end_ids();
  for (int i = 0; i < params.stop_token_ids_size(); ++i) {
    KEDGE_RETURN_IF_ERROR(
        CheckTokenId(params.stop_token_ids(i), absl::StrCat("sampling_params.stop_token_ids[", i, "]")));
    parsed->end_ids.push_back(params.stop_token_ids(i));
  }
  std::sort(parsed->end_ids.begin(), parsed->end_ids.end());
  parsed->end_ids.erase(std::unique(parsed->end_ids.begin(), parsed->end_ids.end()), parsed->end_ids.end());
  parsed->include_stop_str_in_output = params.include_stop_str_in_output();
  if (params.has_seed()) parsed->seed = params.seed();
  if (params.has_n()) {
    parsed->n = params.n();
    if (parsed->n < 1 || parsed->n > kMaxCompletions) {
      return absl::InvalidArgumentError(
          absl::StrCat("sampling_params.n: is ", parsed->n, "; must be in [1, ", kMaxCompletions, "]"));
    }
  }
  for (const auto& [id, bias] : params.logit_bias()) {
    KEDGE_RETURN_IF_ERROR(CheckTokenId(id, "sampling_params.logit_bias"));
    KEDGE_RETURN_IF_ERROR(CheckBetween(bias, -100, 100, absl::StrCat("sampling_params.logit_bias[", id, "]")));
    parsed->logit_bias[id] = bias;
  }
  return absl::OkStatus();
}

absl::Status RequestParser::ParseOutput(const inference::v1::OutputOptions& options, RouterRequest* parsed) const {
  parsed->output_text = !options.has_text() || options.text();
  parsed->output_token_ids = options.token_ids();
  parsed->output_prompt_pieces = options.prompt_pieces();
  if (options.has_logprobs()) {
    parsed->logprobs = options.logprobs();
    if (*parsed->logprobs > kMaxLogprobs) {
      return absl::InvalidArgumentError(
          absl::StrCat("output_options.logprobs: is ", *parsed->logprobs, "; must be at most ", kMaxLogprobs));
    }
  }
  parsed->skip_special_tokens = !options.has_skip_special_tokens() || options.skip_special_tokens();
  if (options.has_stream_interval()) {
    parsed->stream_interval = options.stream_interval();
    if (parsed->stream_interval == 0) {
      return absl::InvalidArgumentError("output_options.stream_interval: is 0; must be at least 1");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<RouterRequest> RequestParser::Parse(const inference::v1::GenerateRequest& request,
                                                   absl::string_view metadata_request_id,
                                                   absl::string_view tenant) const {
  RouterRequest parsed;
  KEDGE_ASSIGN_OR_RETURN(parsed.request_id, ChooseRequestId(request.request_id(), metadata_request_id));
  KEDGE_RETURN_IF_ERROR(CheckModel(request.model()));
  parsed.model = model_->name;
  KEDGE_RETURN_IF_ERROR(ParseSampling(request.sampling_params(), &parsed));
  KEDGE_RETURN_IF_ERROR(ParseOutput(request.output_options(), &parsed));
  Policy policy = model_->policy;
  parsed.policy = model_->default_policy;
  parsed.readable_policy = model_->readable_default_policy;
  if (!request.cache_options().policy().empty()) {
    absl::StatusOr<Policy> own = ParsePolicy(request.cache_options().policy(), model_->policy_names);
    if (!own.ok()) return InField("cache_options.policy", own.status());
    policy = *std::move(own);
    parsed.policy = CanonicalPolicy(policy);
    parsed.readable_policy = ReadablePolicy(policy, model_->policy_names);
  }
  if (request.cache_options().cache_salt().size() > kMaxCacheSalt) {
    return absl::InvalidArgumentError(absl::StrCat("cache_options.cache_salt: has ",
                                                   request.cache_options().cache_salt().size(),
                                                   " bytes; at most ", kMaxCacheSalt, " are allowed"));
  }
  parsed.cache_domain = CacheDomain(tenant, request.cache_options().cache_salt());
  parsed.chooses = policy.salient_millionths > 0;
  parsed.hidden_id = policy.insert;
  KEDGE_RETURN_IF_ERROR(ParsePrompt(request, policy, &parsed));
  parsed.max_tokens =
      std::min<uint32_t>(parsed.max_tokens, model_->context_length - static_cast<uint32_t>(parsed.prompt_ids.size()));
  parsed.min_tokens = std::min(parsed.min_tokens, parsed.max_tokens);
  return parsed;
}

}  // namespace kedge
