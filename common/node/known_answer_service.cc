// Tested by tests/identity_test.py, which runs the programs.
#include "common/node/known_answer_service.h"

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/status.h"

namespace kedge {
namespace {

// Ends once: with the answer, or when the call is cancelled before. gRPC and whoever is to answer each hold it.
class AnswerReactor : public grpc::ServerUnaryReactor {
 public:
  static std::shared_ptr<AnswerReactor> Create(node::v1::KnownAnswerResponse* response) {
    auto reactor = std::make_shared<AnswerReactor>(response);
    reactor->self_ = reactor;
    return reactor;
  }
  explicit AnswerReactor(node::v1::KnownAnswerResponse* response) : response_(response) {}

  void End(const absl::StatusOr<std::string>& answer) {
    {
      absl::MutexLock lock(&mutex_);
      if (std::exchange(ended_, true)) return;
      if (answer.ok()) response_->set_hash(*answer);
    }
    Finish(ToGrpcStatus(answer.status()));
  }

 private:
  void OnCancel() override { End(absl::CancelledError("nobody waits for the answer")); }
  void OnDone() override { self_ = nullptr; }  // may delete this

  node::v1::KnownAnswerResponse* const response_;  // valid until Finish
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<AnswerReactor> self_;
};

}  // namespace

grpc::ServerUnaryReactor* KnownAnswerServiceImpl::Answer(grpc::CallbackServerContext*,
                                                         const node::v1::KnownAnswerRequest* request,
                                                         node::v1::KnownAnswerResponse* response) {
  const std::shared_ptr<AnswerReactor> reactor = AnswerReactor::Create(response);
  loop_->Post([this, reactor, ids = std::vector<uint32_t>(request->ids().begin(), request->ids().end())] {
    answerer_(ids, [reactor](absl::StatusOr<std::string> answer) { reactor->End(answer); });
  });
  return reactor.get();
}

}  // namespace kedge
