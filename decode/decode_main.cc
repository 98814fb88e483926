// kedge-decode: receives a prompt's kept rows and writes the answer.
#include <memory>

#include "CLI/CLI.hpp"
#include "common/node/node_program.h"
#include "common/rpc/flags.h"
#include "common/transfer/state_source_grpc.h"
#include "decode/decode_engine.h"
#include "decode/decode_service.h"

namespace kedge {
namespace {

class DecodeRole : public NodeEngine {
 public:
  DecodeRole(const DecodeOptions& options, const NodeContext& context)
      : engine_(options, context.device, &source_, context.clock,
                [loop = context.loop](std::function<void()> closure) { loop->Post(std::move(closure)); }),
        service_(context.loop, &engine_, context.device->numerics_class(), context.device->row_shape().row_bytes()) {}

  grpc::Service* service() override { return &service_; }
  bool Turn() override { return engine_.Turn(); }
  NodeStats stats() const override { return engine_.stats(); }

 private:
  GrpcStateSource source_;
  DecodeEngine engine_;
  DecodeServiceImpl service_;
};

}  // namespace
}  // namespace kedge

int main(int argc, char** argv) {
  kedge::DecodeOptions options;
  return kedge::RunNode({.name = "kedge-decode",
                         .description = "Kedge decode node: receives a prompt's kept rows and writes the answer.",
                         .role = kedge::node::v1::ROLE_DECODE,
                         .service_name = "kedge.node.v1.DecodeService",
                         .add_flags =
                             [&](CLI::App* app) {
                               app->add_option("--min-remote-tokens", options.row_source.min_remote_tokens,
                                               "prompts with fewer missing tokens are computed here")
                                   ->check(kedge::WholeNumber(0, UINT32_MAX))
                                   ->capture_default_str();
                               app->add_option("--max-continued-tokens", options.row_source.max_continued_tokens,
                                               "so many tokens behind rows that are stored here are computed here")
                                   ->check(kedge::WholeNumber(0, UINT32_MAX))
                                   ->capture_default_str();
                               app->add_option("--max-waiting", options.max_waiting,
                                               "requests that may wait for KV memory; beyond it they are refused")
                                   ->check(kedge::WholeNumber(0, UINT32_MAX))
                                   ->capture_default_str();
                             },
                         .make_engine =
                             [&](const kedge::NodeContext& context) {
                               options.fingerprint = context.fingerprint;
                               options.context_length = context.context_length;
                               options.salience_heads = context.salience_heads;
                               options.cache_pages = context.cache_pages;
                               return std::make_unique<kedge::DecodeRole>(options, context);
                             }},
                        argc, argv);
}
