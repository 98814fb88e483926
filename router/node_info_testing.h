// What nodes of tests say of themselves when they register.
#ifndef KEDGE_ROUTER_NODE_INFO_TESTING_H_
#define KEDGE_ROUTER_NODE_INFO_TESTING_H_

#include <string>

#include "common/rpc/protocol.h"
#include "kedge/node/v1/node.pb.h"

namespace kedge {

// A decode node of the model "print", class "cpu", f16; other fields are the test's.
inline node::v1::NodeInfo InfoOfNode(const std::string& id, const std::string& address) {
  node::v1::NodeInfo info;
  info.set_protocol_version(kProtocolVersion);
  info.set_node_id(id);
  info.set_role(node::v1::ROLE_DECODE);
  info.set_address(address);
  info.set_fingerprint("print");
  info.set_numerics_class("cpu");
  info.set_kv_type("f16");
  return info;
}

}  // namespace kedge

#endif  // KEDGE_ROUTER_NODE_INFO_TESTING_H_
