// Who calls a router's listener for clients.
#ifndef KEDGE_ROUTER_CALLERS_H_
#define KEDGE_ROUTER_CALLERS_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/base/watched_file.h"
#include "common/tls/tenant_keys.h"
#include "grpcpp/server_context.h"

namespace kedge {

struct Caller {
  std::string tenant;  // empty: nobody is asked for a key
};

// Knows callers by the key in their metadata, `authorization: Bearer KEY`. The file of keys is read again every second;
// one that cannot be used leaves the keys as they are, and a line in the log. Thread-safe.
class Callers {
 public:
  // `keys_file` empty: everybody may call. kInvalidArgument and kNotFound name the file.
  static absl::StatusOr<std::unique_ptr<Callers>> Make(const std::string& keys_file);

  // kUnauthenticated: no key, or none that is known.
  absl::StatusOr<Caller> Identify(const grpc::CallbackServerContext& context) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  Callers() = default;
  void Take(const std::string& path, const absl::StatusOr<std::string>& text) ABSL_LOCKS_EXCLUDED(mutex_);

  mutable absl::Mutex mutex_;
  std::shared_ptr<const TenantKeys> keys_ ABSL_GUARDED_BY(mutex_);  // null: no key is asked for
  std::unique_ptr<const WatchedFile> file_;                         // last: calls Take
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_CALLERS_H_
