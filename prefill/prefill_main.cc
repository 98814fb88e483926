// kedge-prefill: reads prompts and sends the rows that the anchor policy keeps.
#include <memory>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "common/node/node_program.h"
#include "common/rpc/flags.h"
#include "common/rpc/protocol.h"
#include "common/transfer/prefill_service.h"
#include "prefill/prefill_engine.h"

namespace kedge {
namespace {

class PrefillRole : public NodeEngine {
 public:
  PrefillRole(const PrefillOptions& options, const NodeContext& context)
      : engine_(options, context.device, context.clock), service_(context.loop, &engine_, context.clock) {}

  std::vector<grpc::Service*> services() override { return {&service_}; }
  bool Turn() override { return engine_.Turn(); }
  void Answer(std::vector<uint32_t> ids, KnownAnswers::Answered answered) override {
    engine_.Answer(std::move(ids), std::move(answered));
  }
  NodeStats stats() const override { return engine_.stats(); }

 private:
  PrefillEngine engine_;
  PrefillServiceImpl service_;
};

}  // namespace
}  // namespace kedge

int main(int argc, char** argv) {
  kedge::PrefillOptions options;
  return kedge::RunNode(
      {.name = "kedge-prefill",
       .description = "Kedge prefill node: reads prompts and sends the rows that the anchor policy keeps.",
       .role = kedge::node::v1::ROLE_PREFILL,
       .service_name = kedge::kPrefillServiceName,
       .add_flags =
           [&](CLI::App* app) {
             app->add_option("--max-waiting-tokens", options.max_waiting_tokens,
                             "tokens of work that may wait; beyond it requests are refused")
                 ->check(kedge::WholeNumber(0, UINT32_MAX))
                 ->capture_default_str();
           },
       .make_engine =
           [&](const kedge::NodeContext& context) {
             options.fingerprint = context.fingerprint;
             options.context_length = context.context_length;
             options.salience_heads = context.salience_heads;
             options.cache_pages = context.cache_pages;
             options.run_step = [loop = context.loop](absl::FunctionRef<void()> step) { loop->Open(step); };
             return std::make_unique<kedge::PrefillRole>(options, context);
           }},
      argc, argv);
}
