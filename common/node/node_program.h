// What the programs of prefill and decode nodes share: flags, the model, the engine's thread, the server, and a place
// in the cluster.
#ifndef KEDGE_COMMON_NODE_NODE_PROGRAM_H_
#define KEDGE_COMMON_NODE_NODE_PROGRAM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/anchor/salience.h"
#include "common/base/clock.h"
#include "common/base/event_loop.h"
#include "common/engine/node_stats.h"
#include "common/kernels/step.h"
#include "common/tls/membership.h"
#include "kedge/node/v1/node.pb.h"

namespace CLI {
class App;
}  // namespace CLI
namespace grpc {
class Service;
}  // namespace grpc

namespace kedge {

// What an engine stands on. Pointers live until the engine is gone.
struct NodeContext {
  std::string fingerprint;
  uint32_t context_length = 0;
  SalienceHeads salience_heads;  // of the model, never empty
  uint32_t cache_pages = 0;      // most pages for rows that are kept for later requests
  StepDevice* device = nullptr;
  EventLoop* loop = nullptr;
  const Clock* clock = nullptr;
  const Membership* member = nullptr;  // null: a cluster on the loopback
};

// The part of a node that depends on its role.
class NodeEngine {
 public:
  virtual ~NodeEngine() = default;
  virtual std::vector<grpc::Service*> services() = 0;
  // On the loop's thread.
  virtual bool Turn() = 0;
  // KnownAnswerServiceImpl::Answerer.
  virtual void Answer(std::vector<uint32_t> ids, std::function<void(absl::StatusOr<std::string>)> answered) = 0;
  virtual NodeStats stats() const = 0;
};

struct NodeProgram {
  std::string name;         // "kedge-prefill"
  std::string description;  // one line for --help
  node::v1::Role role;
  std::string service_name;                  // of the health service
  std::function<void(CLI::App*)> add_flags;  // the role's own
  std::function<std::unique_ptr<NodeEngine>(const NodeContext&)> make_engine;
};

// The whole of main. Returns the exit status: 0 ok, 1 failed, 2 usage.
int RunNode(const NodeProgram& program, int argc, char** argv);

}  // namespace kedge

#endif  // KEDGE_COMMON_NODE_NODE_PROGRAM_H_
