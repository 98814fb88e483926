// A decode node without a model, for `bench router`: it sends given tokens at a given pace.
#ifndef KEDGE_CLI_TOKEN_NODE_H_
#define KEDGE_CLI_TOKEN_NODE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/router_report.h"
#include "common/base/clock.h"

namespace kedge {

// Serves DecodeService to a router or to any other caller, and queues and merges messages as a decode node does. Its
// callers must name their streams by request ids "0", "1" and so on. For each work WaitForStreams, then Send. Owned by
// one thread, which is its engine.
class TokenNode {
 public:
  // Listens on a free port of this machine. Every answer is `ids`, or its beginning. `clock` must outlive this.
  static absl::StatusOr<std::unique_ptr<TokenNode>> Start(std::vector<uint32_t> ids, const Clock* clock);
  ~TokenNode();

  // HOST:PORT.
  const std::string& address() const;
  // Registers with the router at HOST:PORT, as the nodes do, as one of the model of this fingerprint; stays registered.
  void Register(const std::string& router, const std::string& fingerprint);

  // Waits for calls "0" to "streams - 1". kDeadlineExceeded says how many have come.
  absl::Status WaitForStreams(uint32_t streams, absl::Duration timeout);

  // Writes `tokens` tokens to each of these streams, one to each in every `interval`, all at once like the step of a
  // batch, and ends them. A step that is late is made up for. Returns when each token was written; kCancelled soon
  // after `cancelled` turns true. REQUIRES: there are as many ids.
  absl::StatusOr<TokenTimes> Send(uint32_t tokens, absl::Duration interval, const std::function<bool()>& cancelled);

 private:
  struct Impl;
  explicit TokenNode(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kedge

#endif  // KEDGE_CLI_TOKEN_NODE_H_
