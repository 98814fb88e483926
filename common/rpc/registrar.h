// A node's place in its cluster: it stays registered with every router that it was told of.
#ifndef KEDGE_COMMON_RPC_REGISTRAR_H_
#define KEDGE_COMMON_RPC_REGISTRAR_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/steady_time.h"
#include "common/tls/membership.h"
#include "kedge/node/v1/node.pb.h"

namespace kedge {

struct RegistrarOptions {
  std::vector<std::string> routers;  // HOST:PORT each
  // Null: plain. Otherwise a router must show a certificate for the host of its address, with the role of a router.
  std::shared_ptr<const Membership> member;
  node::v1::NodeInfo info;
  // Called on the registrar's thread for each heartbeat; must not block.
  std::function<node::v1::Heartbeat()> heartbeat;
  // Optional, on the registrar's thread: a router took the node in.
  std::function<void(const std::string& router)> on_registered;
  // Optional, on the registrar's thread: a router will not have this node as it is (kFailedPrecondition names the
  // setting that differs, kPermissionDenied what its certificate lacks). The registrar goes on trying, every
  // `refused_backoff`.
  std::function<void(const std::string& router, const absl::Status& status)> on_refused;

  absl::Duration interval = absl::Milliseconds(500);        // between heartbeats
  absl::Duration first_backoff = absl::Milliseconds(100);   // doubled up to max_backoff
  absl::Duration max_backoff = absl::Seconds(1);
  absl::Duration refused_backoff = absl::Seconds(5);
};

// Keeps one Register stream to each router, for ever: a router that is away or restarts is found again. State changes
// are logged. Thread-safe.
class Registrar {
 public:
  // Starts. The node must be able to serve: a router may send requests at once.
  explicit Registrar(RegistrarOptions options);
  // Ends the streams: routers forget the node at once.
  ~Registrar();
  Registrar(const Registrar&) = delete;
  Registrar& operator=(const Registrar&) = delete;

  // A heartbeat comes at once, not when it is due.
  void Beat();

  // How many routers have taken the node in, now.
  int registered() const;

 private:
  class Link;
  void Run();
  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const RegistrarOptions options_;
  std::vector<std::unique_ptr<Link>> links_;
  mutable absl::Mutex mutex_;
  SteadyCondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool beat_ ABSL_GUARDED_BY(mutex_) = false;  // at once
  std::thread thread_;
};

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_REGISTRAR_H_
