// All calls that the tool makes to a router, without gRPC in the header.
#ifndef KEDGE_CLI_CLIENT_H_
#define KEDGE_CLI_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/answer.h"
#include "common/tokenizer/conversation.h"

namespace kedge {

// Code points begin to end - 1 of a text.
struct TextSpan {
  uint32_t begin = 0;
  uint32_t end = 0;
};

// What to continue: plain text, token ids as they are, or a chat for the model's template (whose time is the server's).
using Prompt = std::variant<std::string, std::vector<uint32_t>, Conversation>;

// A part of the prompt that is kept: a chat message, or code points [begin, end) of a text.
struct Pin {
  std::optional<uint32_t> message;
  uint32_t begin = 0;
  uint32_t end = 0;
};

// What a generation asks for. What is unset is left to the server.
struct GenerateCall {
  Prompt prompt;
  std::string policy;
  std::string cache_salt;  // rows in caches are shared with requests of the same one
  std::vector<Pin> pins;
  bool prompt_pieces = false;          // Answer::prompt_pieces
  std::vector<TextSpan> anchor_spans;  // of a plain text: where insert=ID puts anchors; empty: between sentences
  std::string request_id;
  std::optional<absl::Duration> timeout;
  float temperature = 0;  // 0: greedy
  std::optional<float> top_p;
  std::optional<int32_t> top_k;
  std::optional<float> min_p;
  std::optional<float> frequency_penalty;
  std::optional<float> presence_penalty;
  std::optional<float> repetition_penalty;
  std::optional<uint32_t> max_tokens;
  std::optional<uint32_t> min_tokens;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  std::vector<uint32_t> stop_token_ids;
  bool ignore_eos = false;
};

struct ModelInfo {
  std::string model;
  std::string fingerprint;
  uint32_t context_length = 0;
  std::string chat_template;        // empty: chat messages can't be served
  std::string chat_template_error;  // why
  std::string default_policy;
};

struct NodeStatus {
  std::string id;
  std::string role;  // "prefill" or "decode"
  std::string address;
  bool ready = false;
  std::string numerics_class;
  std::string out;  // why it is used for nothing; empty: nothing of the kind
  uint64_t engine_steps = 0;
  uint32_t running_requests = 0;
  uint32_t waiting_requests = 0;
  uint64_t reserved_rows = 0;
  uint64_t cached_rows = 0;
  uint64_t held_rows = 0;
  uint64_t total_rows = 0;
};

class Membership;

struct ClientOptions {
  std::string address;      // HOST:PORT of one of a router's listeners
  std::string authorities;  // PEM: the router's certificate must be by one of them; empty: plain
  std::string key;          // of a tenant; empty: none is sent
  std::shared_ptr<const Membership> member;  // of the cluster, for the listener for nodes; null: plain
};

// A connection to one router. Errors are the server's status; kUnavailable if it can't be reached. Thread-safe.
class Client {
 public:
  // Connects with the first call.
  explicit Client(const ClientOptions& options);
  // HOST:PORT of a plain listener.
  explicit Client(const std::string& address) : Client(ClientOptions{.address = address}) {}
  ~Client();

  // Whether text can be generated now: "SERVING", "NOT_SERVING" or "UNKNOWN", as the health service spells it.
  absl::StatusOr<std::string> Health(absl::Duration timeout);
  absl::StatusOr<std::vector<NodeStatus>> ListNodes(absl::Duration timeout);
  absl::StatusOr<ModelInfo> GetModelInfo(absl::Duration timeout);

  // Generates; `on_text` gets each new piece of text as it comes, and cancels the call by returning false.
  // `cancelled` is asked once the call can be cancelled: who lets it return true and then calls Cancel() misses none.
  // Returns when the stream has ended.
  absl::StatusOr<Answer> Generate(const GenerateCall& call, const std::function<bool(absl::string_view)>& on_text,
                                  const std::function<bool()>& cancelled);

  // Cancels the Generate calls that run now: they return kCancelled. Call it from another thread.
  void Cancel();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kedge

#endif  // KEDGE_CLI_CLIENT_H_
