// The library's server reflection behind a bound: it needs no key, and a message of 16 MiB of fields that nobody knows
// takes twenty times as much once the library has parsed it. What it answered before it says again with every further
// answer of a call (grpc#18009), so that a call's answers grow without end.
#ifndef KEDGE_COMMON_RPC_REFLECTION_H_
#define KEDGE_COMMON_RPC_REFLECTION_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/impl/server_builder_option.h"
#include "grpcpp/server.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace kedge {

// Answers grpc.reflection.v1alpha for these services, and health where the library serves it. Each request is a call of
// its own to a server inside the process; one of more than kMostRequest is refused (RESOURCE_EXHAUSTED) before it is
// parsed, and so is a call while kMostCalls are open. Other methods are UNIMPLEMENTED. Thread-safe.
class Reflection : public grpc::CallbackGenericService {
 public:
  static constexpr size_t kMostRequest = 4096;  // bytes; it is the name of a symbol or of a file
  static constexpr int kMostCalls = 256;        // nobody says how long one may stay open

  // kInternal: the library starts no server. `services` must outlive it.
  // REQUIRES: grpc::reflection::InitProtoReflectionServerBuilderPlugin was called.
  static absl::StatusOr<std::unique_ptr<Reflection>> Start(const std::vector<grpc::Service*>& services);
  // REQUIRES: the server that it was registered with has ended.
  ~Reflection() override;

  // For the builder of that server: takes out the library's own, which every builder gets.
  static std::unique_ptr<grpc::ServerBuilderOption> RemoveLibraryReflection();

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;

 private:
  explicit Reflection(std::unique_ptr<grpc::Server> server);

  const std::unique_ptr<grpc::Server> server_;
  grpc::GenericStub stub_;
  std::atomic<int> open_ = 0;  // calls
};

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_REFLECTION_H_
