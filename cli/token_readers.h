// The clients of `bench router`: many answers read at once, and when each token came.
#ifndef KEDGE_CLI_TOKEN_READERS_H_
#define KEDGE_CLI_TOKEN_READERS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/given_answer.h"
#include "bench/router_report.h"
#include "common/base/clock.h"

namespace kedge {

struct ReadTokens {
  TokenTimes times;
  uint64_t messages = 0;  // that had tokens
};

// So many clients, each with a connection of its own. Owned by one thread; reads on those of gRPC.
class TokenReaders {
 public:
  // Cancels what is still being read.
  virtual ~TokenReaders() = default;
  // Each client asks for `tokens` tokens, with its number as request id.
  virtual void Ask(uint32_t tokens, absl::Duration timeout) = 0;
  // Waits for the ends of the answers. An error is that of the first client that met one; kDataLoss: an answer is not
  // what was given. REQUIRES: Ask was called, once for each wait.
  virtual absl::StatusOr<ReadTokens> Wait() = 0;
};

// Connected clients of a router, which read text alone. `answer` and `clock` must outlive the result.
std::unique_ptr<TokenReaders> ReadersOfRouter(const std::string& address, uint32_t clients, const GivenAnswer* answer,
                                              const Clock* clock);

// Connected clients that call a decode node themselves, and read the messages that the router reads otherwise.
std::unique_ptr<TokenReaders> ReadersOfNode(const std::string& address, uint32_t clients, const GivenAnswer* answer,
                                            const Clock* clock);

}  // namespace kedge

#endif  // KEDGE_CLI_TOKEN_READERS_H_
