// Tested by router_nodes_test.cc.
#include "router/call_back.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/channel.h"
#include "common/rpc/deadline.h"
#include "common/rpc/protocol.h"
#include "common/rpc/status.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/client_context.h"

namespace kedge {
namespace {

using grpc::health::v1::HealthCheckResponse;

// One question. Owned by its own callback.
struct Question {
  std::unique_ptr<grpc::health::v1::Health::Stub> stub;
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  HealthCheckResponse response;
};

}  // namespace

void CallBack(const node::v1::NodeInfo& info, const Membership* member, std::function<void(const absl::Status&)> done) {
  auto question = std::make_shared<Question>();
  question->stub = grpc::health::v1::Health::NewStub(NewChannel(info.address(), ToMember(member, info.node_id())));
  question->context.set_deadline(DeadlineIn(kCallBackLimit));
  question->request.set_service(info.role() == node::v1::ROLE_PREFILL ? kPrefillServiceName : kDecodeServiceName);
  question->stub->async()->Check(
      &question->context, &question->request, &question->response,
      [question, address = info.address(), done = std::move(done)](const grpc::Status& status) {
        const std::string at = absl::StrCat("address: the router called back at ", address, ", where ");
        if (!status.ok()) {
          return done(absl::UnavailableError(
              absl::StrCat(at, "no node of this id and role answers: ", FromGrpcStatus(status).message())));
        }
        if (question->response.status() != HealthCheckResponse::SERVING) {
          return done(absl::UnavailableError(absl::StrCat(at, "a node answers that does not serve")));
        }
        done(absl::OkStatus());
      });
}

}  // namespace kedge
