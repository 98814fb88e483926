// Turns a client's request into a RouterRequest, or says which field is wrong.
#ifndef KEDGE_ROUTER_REQUEST_PARSER_H_
#define KEDGE_ROUTER_REQUEST_PARSER_H_

#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/anchor/policy.h"
#include "common/base/clock.h"
#include "common/model/model_files.h"
#include "common/tokenizer/chat_template.h"
#include "common/tokenizer/prompt_tokens.h"
#include "common/tokenizer/rendered_chat.h"
#include "common/tokenizer/tokenizer.h"
#include "kedge/inference/v1/inference.pb.h"
#include "kedge/inference/v1/model.pb.h"
#include "router/router_request.h"

namespace kedge {

using AnchorSpans = google::protobuf::RepeatedPtrField<inference::v1::TextSpan>;

// What the router knows of its one model: metadata and vocabulary, no weights. Immutable.
struct RouterModel {
  std::string name;
  uint32_t context_length = 0;
  // Token ids are below this: rows of the embedding, which may be padded beyond the tokenizer's vocabulary.
  uint32_t vocab_size = 0;
  std::unique_ptr<const Tokenizer> tokenizer;
  std::bitset<256> token_bytes;  // those that are never left out of a text's tokens
  size_t longest_spelling = 1;   // bytes of any token, special ones included
  // Null if the model has none, or one that can not be rendered; then `chat_template_status` says why.
  std::unique_ptr<const ChatTemplate> chat_template;
  absl::Status chat_template_status;
  PolicyNames policy_names;
  Policy policy;               // of requests that name none
  std::string default_policy;  // the same in canonical form,
  std::string readable_default_policy;  // and for who reads it
  uint32_t default_max_tokens = 256;
};

// Reads metadata and vocabulary. `name` empty: the model's own, or the file's where that is no valid UTF-8. `policy`
// empty: the adapter's, else the model's, else the built-in default. `chat_template`: a file whose content takes the
// place of the model's chat template; empty: the model's. A wrong argument is kInvalidArgument that begins with its
// flag,
// "--model-name: ", "--policy: " or "--chat-template: ".
absl::StatusOr<std::unique_ptr<const RouterModel>> LoadRouterModel(const ModelFiles& files, const std::string& name,
                                                                   const std::string& policy,
                                                                   uint32_t default_max_tokens,
                                                                   const std::string& chat_template = "");

// Thread-safe (immutable). Takes time linear in the prompt: not for the threads of gRPC. A text that is too long for
// the context whatever its tokens are is refused before it is tokenized.
class RequestParser {
 public:
  // Both must outlive this. `clock` tells chat templates the date.
  RequestParser(const RouterModel* model, const Clock* clock) : model_(model), clock_(clock) {}

  // kInvalidArgument begins with the field's name as in the proto ("sampling_params.temperature: ..."); kNotFound:
  // an unknown model. `metadata_request_id` is the metadata x-request-id, or empty; `tenant` the client's, if it has
  // one.
  absl::StatusOr<RouterRequest> Parse(const inference::v1::GenerateRequest& request,
                                      absl::string_view metadata_request_id, absl::string_view tenant = "") const;

  // The same tokens that Parse makes of such a prompt; an empty text has none.
  absl::StatusOr<std::vector<uint32_t>> Tokenize(const inference::v1::TokenizeRequest& request) const;

  // kNotFound unless `model` is empty or the served one's name.
  absl::Status CheckModel(absl::string_view model) const;

 private:
  // `insert`: an anchor to put between sentences, or at the ends of `spans` if there are any.
  absl::StatusOr<PromptTokens> TokenizeText(absl::string_view text, std::optional<uint32_t> insert,
                                            const AnchorSpans& spans) const;
  absl::StatusOr<PromptTokens> TokenizeMessages(const inference::v1::ChatMessages& messages,
                                                std::optional<uint32_t> insert) const;
  absl::Status CheckTokenId(uint32_t id, absl::string_view field) const;
  // kInvalidArgument unless a prompt of `tokens` tokens, or more, leaves room for an answer.
  absl::Status CheckFits(size_t tokens, bool or_more, absl::string_view field) const;
  // A lower bound of the number of its tokens. `inserts`: white space around anchors is left out.
  size_t LeastTokens(absl::string_view text, bool inserts) const;
  size_t LeastTokens(const RenderedChat& chat, bool inserts) const;
  struct PinnedText;
  absl::StatusOr<std::vector<PositionRange>> PinnedTokens(const inference::v1::PinnedSpan& span,
                                                          const inference::v1::GenerateRequest& request,
                                                          const PromptTokens& tokens, bool inserts,
                                                          const PinnedText& text, absl::string_view field) const;
  absl::Status ParsePinned(const inference::v1::GenerateRequest& request, const PromptTokens& tokens,
                           RouterRequest* parsed) const;
  absl::Status ParsePrompt(const inference::v1::GenerateRequest& request, const Policy& policy,
                           RouterRequest* parsed) const;
  absl::Status ParseSampling(const inference::v1::SamplingParams& params, RouterRequest* parsed) const;
  absl::Status ParseOutput(const inference::v1::OutputOptions& options, RouterRequest* parsed) const;

  const RouterModel* model_;
  const Clock* clock_;
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_REQUEST_PARSER_H_
