// kedge-decode: receives a prompt's kept rows and writes the answer.
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "common/node/node_program.h"
#include "common/rpc/flags.h"
#include "common/rpc/protocol.h"
#include "common/transfer/prefill_service.h"
#include "common/transfer/state_source_grpc.h"
#include "decode/decode_engine.h"
#include "decode/decode_service.h"

namespace kedge {
namespace {

class DecodeRole : public NodeEngine {
 public:
  DecodeRole(const DecodeOptions& options, const NodeContext& context)
      : source_(context.clock, context.member),
        engine_(
            options, context.device, &source_, context.clock,
            [loop = context.loop](std::function<void()> closure) { loop->Post(std::move(closure)); },
            [loop = context.loop](std::function<void()> closure) { loop->Enter(std::move(closure)); }),
        service_(context.loop, &engine_, context.clock, context.member, context.device->numerics_class(),
                 context.device->row_shape().row_bytes()),
        offers_(context.loop, engine_.offered_states(), context.clock) {}

  std::vector<grpc::Service*> services() override { return {&service_, &offers_}; }
  bool Turn() override { return engine_.Turn(); }
  void Answer(std::vector<uint32_t> ids, KnownAnswers::Answered answered) override {
    engine_.Answer(std::move(ids), std::move(answered));
  }
  NodeStats stats() const override { return engine_.stats(); }

 private:
  GrpcStateSource source_;
  DecodeEngine engine_;
  DecodeServiceImpl service_;
  PrefillServiceImpl offers_;  // states of answers that moved, and nothing else
};

uint64_t BytesOf(const NodeContext& context, uint32_t pages) {
  return uint64_t{pages} * kPageRows * context.device->row_shape().page_row_bytes();
}

// An eighth of the KV memory, and beside it: so much of what it had may be on its way elsewhere.
uint64_t OfferedBytes(const NodeContext& context) { return BytesOf(context, context.device->num_pages()) / 8; }

// A quarter of what the cache may hold, and beside it: what is held is host memory, wherever pages lie.
uint64_t DefaultHeldBytes(const NodeContext& context) { return BytesOf(context, context.cache_pages) / 4; }

}  // namespace
}  // namespace kedge

int main(int argc, char** argv) {
  kedge::DecodeOptions options;
  std::optional<uint64_t> held_memory_mib;
  return kedge::RunNode({.name = "kedge-decode",
                         .description = "Kedge decode node: receives a prompt's kept rows and writes the answer.",
                         .role = kedge::node::v1::ROLE_DECODE,
                         .service_name = kedge::kDecodeServiceName,
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
                               app->add_option("--held-memory", held_memory_mib,
                                               "MiB of host memory, beside --kv-memory, for rows that came from "
                                               "prefill nodes and need not come again where prompts are computed in "
                                               "full (prefill=full); 0: none (default: a quarter of --cache-memory)")
                                   ->check(kedge::WholeNumber(0, uint64_t{1} << 30));
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
                               options.run_step = [loop = context.loop](absl::FunctionRef<void()> step) {
                                 loop->Open(step);
                               };
                               options.held_bytes = held_memory_mib.has_value() ? *held_memory_mib << 20
                                                                                : kedge::DefaultHeldBytes(context);
                               options.offered_bytes = kedge::OfferedBytes(context);
                               return std::make_unique<kedge::DecodeRole>(options, context);
                             }},
                        argc, argv);
}
