// KnownAnswerService over an engine: an adapter, without decisions of its own.
#ifndef KEDGE_COMMON_NODE_KNOWN_ANSWER_SERVICE_H_
#define KEDGE_COMMON_NODE_KNOWN_ANSWER_SERVICE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/event_loop.h"
#include "kedge/node/v1/node.grpc.pb.h"

namespace kedge {

// Thread-safe.
class KnownAnswerServiceImpl final : public node::v1::KnownAnswerService::CallbackService {
 public:
  using Answered = std::function<void(absl::StatusOr<std::string>)>;
  // The engine's: called on the loop's thread; runs `answered` at most once, there.
  using Answerer = std::function<void(std::vector<uint32_t> ids, Answered answered)>;

  // `loop` must outlive this, and what `answerer` stands on the loop.
  KnownAnswerServiceImpl(EventLoop* loop, Answerer answerer) : loop_(loop), answerer_(std::move(answerer)) {}

  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const node::v1::KnownAnswerRequest* request,
                                   node::v1::KnownAnswerResponse* response) override;

 private:
  EventLoop* const loop_;
  const Answerer answerer_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_NODE_KNOWN_ANSWER_SERVICE_H_
