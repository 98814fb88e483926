// Ties model, processes and the router's own word on its readiness together. Logs lie in the cache directory; they are
// optional, as everything there.
//
// Tested by cluster_test.cc and, with the real processes, by the tests in tests/.
#include "cli/local_cluster.h"

#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cli/calibrate_model.h"
#include "cli/client.h"
#include "cli/console.h"
#include "cli/device_list.h"
#include "cli/log_directory.h"
#include "cli/model_fetch.h"
#include "cli/open_model.h"
#include "common/anchor/policy.h"
#include "common/base/cache_dir.h"
#include "common/base/machine_limits.h"
#include "common/base/of_field.h"
#include "common/base/status.h"
#include "common/kernels/row_shape.h"
#include "common/model/model_files.h"
#include "common/node/load_model.h"
#include "common/rpc/flags.h"
#include "common/tokenizer/chat_template_source.h"

namespace kedge {
namespace {

constexpr absl::Duration kProbeTimeout = absl::Seconds(2);
constexpr int kFilesOfAProcess = 4;  // that the tool has open: its log's, and pipes

// Null, and said, where none can be had.
std::shared_ptr<const LogDirectory> MakeLogDirectory() {
  const std::string cache = CacheDir();
  absl::StatusOr<LogDirectory> directory = cache.empty()
                                               ? absl::UnavailableError("neither HOME nor XDG_CACHE_HOME is set")
                                               : LogDirectory::Make(cache + "/logs", absl::Now());
  if (directory.ok()) return std::make_shared<LogDirectory>(*std::move(directory));
  Say(absl::StrCat("going on without logs: ", directory.status().message()));
  return nullptr;
}

}  // namespace

void AddLocalClusterOptions(CLI::App* command, const std::string& port_help, LocalClusterOptions* options) {
  command->add_option("--prefill", options->num_prefill, "Number of prefill nodes")
      ->check(WholeNumber(0, 64))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--decode", options->num_decode, "Number of decode nodes")
      ->check(WholeNumber(1, 64))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--port", options->port, "Port of the router (default: " + port_help + ")")
      ->check(WholeNumber(1, 65535))
      ->type_name("PORT");
  command->add_option("--host", options->host, "Address on which the router listens")
      ->check(ListenHost())
      ->type_name("HOST")
      ->capture_default_str();
  command->add_option("--model", options->model, kModelHelp)->type_name(kFileType);
  command->add_option("--adapter", options->adapter, "LoRA adapter for that model, a GGUF file (default: none)")
      ->type_name(kFileType);
  command
      ->add_option("--policy", options->policy,
                   "Anchor policy, e.g. full or window,recent=256 (default: the adapter's, else the model's, else "
                   "salient)")
      ->type_name("SPEC");
  command
      ->add_option("--chat-template", options->chat_template,
                   "File with a chat template in Jinja that takes the place of the model's (default: the model's)")
      ->type_name(kFileType);
  command
      ->add_option("--kv-type", options->kv_type,
                   absl::StrCat("Type of keys and values: ", absl::StrJoin(KvTypeNames(), ", "),
                                " (default: ", KvTypeName(kDefaultKvType), ")"))
      ->check(CLI::IsMember(KvTypeNames()).description(""))
      ->type_name("TYPE");
  command->add_option("--backend", options->backend, absl::StrCat("Of all nodes: ", kBackendHelp))
      ->check(CLI::IsMember(BackendNames()))
      ->type_name("NAME")
      ->capture_default_str();
  command
      ->add_option("--devices", options->devices,
                   "Numbers of the GPUs, as in 0,1,2,3: one for each prefill node, then one for each decode node "
                   "(default: 0 for all)")
      ->type_name("LIST");
  command->add_option("--threads", options->threads, "Threads of each node (default: all cores, shared)")
      ->check(WholeNumber(1, 1024))
      ->type_name("N");
  command
      ->add_option("--kv-memory", options->kv_memory_mib,
                   "MiB for KV rows of each node (default: at most half of the memory and 8192, shared)")
      ->check(WholeNumber(1, 1 << 30))
      ->type_name("MIB");
  command
      ->add_option("--cache-memory", options->cache_memory_mib,
                   "MiB of --kv-memory that rows of earlier requests may hold for later ones while no request needs "
                   "them; 0: none (default: half)")
      ->check(WholeNumber(0, 1 << 30))
      ->type_name("MIB");
  command
      ->add_option("--held-memory", options->held_memory_mib,
                   "MiB of each decode node, beside --kv-memory, for rows that it was sent and that need not be sent "
                   "again (prefill=full); 0: none (default: a quarter of --cache-memory)")
      ->check(WholeNumber(0, 1 << 30))
      ->type_name("MIB");
}

namespace {

void WarnOfMemory(const ModelFiles& files, const LocalClusterOptions& options) {
  const uint64_t memory = UsableMachine().memory_bytes;
  const uint64_t nodes = static_cast<uint64_t>(options.num_prefill + options.num_decode);
  const uint64_t kv_mib = options.kv_memory_mib != 0
                              ? options.kv_memory_mib
                              : DefaultKvMemoryMib(DefaultKvBytes(memory), static_cast<int>(nodes));
  const std::string warning = MemoryWarning(files.base->total_bytes(), nodes * kv_mib << 20, memory);
  if (!warning.empty()) Say(warning);
}

// What the programs would refuse after their start, said before it; and what nodes need to know of the model, found
// out: returns the salience heads that they must be told, or "".
absl::StatusOr<std::string> PrepareModel(const ModelFiles& files, const LocalClusterOptions& options,
                                         const std::function<bool()>& cancelled) {
  KEDGE_RETURN_IF_ERROR(ModelFingerprint(files, Say).status());
  KEDGE_ASSIGN_OR_RETURN(const PolicyNames names, LoadPolicyNames(files));
  const absl::StatusOr<Policy> policy = ParsePolicy(options.policy, names);
  if (!policy.ok()) return OfField("--policy", policy.status());
  if (const std::string warning = AddressSpaceWarning(); !warning.empty()) Say(warning);
  if (!HasOwnKvMemory(options.backend)) WarnOfMemory(files, options);
  return CalibrateAtNeed(files, *policy, options.threads, cancelled);
}

}  // namespace

absl::StatusOr<Cluster> StartLocalCluster(const LocalClusterOptions& options, int default_port,
                                          const StopSignals& signals) {
  auto cancelled = [&signals] { return signals.stopped(); };
  ClusterOptions cluster;
  if (!options.devices.empty()) {
    KEDGE_ASSIGN_OR_RETURN(cluster.devices, ParseDevices(options.devices, options.backend, options.num_prefill,
                                                         options.num_decode));
  }
  if (!options.chat_template.empty()) {
    KEDGE_RETURN_IF_ERROR(ReadChatTemplateFile(options.chat_template).status());
  }
  KEDGE_RETURN_IF_ERROR(
      RaiseFileLimit(kLeastFiles + kFilesOfAProcess * (1 + options.num_prefill + options.num_decode)));
  KEDGE_ASSIGN_OR_RETURN(const ModelFiles files, OpenModel(options.model, options.adapter, cancelled));
  KEDGE_ASSIGN_OR_RETURN(cluster.salience_heads, PrepareModel(files, options, cancelled));
  cluster.host = options.host;
  cluster.port = options.port != 0 ? options.port : default_port;
  cluster.next_free_port = options.port == 0 && default_port != 0;
  cluster.num_prefill = options.num_prefill;
  cluster.num_decode = options.num_decode;
  cluster.model = files.base->name();
  cluster.adapter = options.adapter;
  cluster.policy = options.policy;
  cluster.chat_template = options.chat_template;
  cluster.kv_type = options.kv_type;
  cluster.backend = options.backend;
  cluster.threads = options.threads;
  cluster.kv_memory_mib = options.kv_memory_mib;
  cluster.cache_memory_mib = options.cache_memory_mib;
  cluster.held_memory_mib = options.held_memory_mib;
  cluster.program_directory = ProgramDirectory();
  cluster.drain = absl::Seconds(options.drain_seconds);
  cluster.logs = MakeLogDirectory();
  Say(absl::StrCat("starting a router, prefill nodes: ", options.num_prefill, ", decode nodes: ", options.num_decode,
                   cluster.logs == nullptr ? "" : "; logs: " + cluster.logs->path()));

  std::map<std::string, std::unique_ptr<Client>> clients;  // one connection for all probes
  ClusterProbe probe = [&clients](const RouterAddresses& addresses) -> absl::StatusOr<ClusterView> {
    const auto client = [&clients](const std::string& address) -> Client& {
      std::unique_ptr<Client>& known = clients[address];
      if (known == nullptr) known = std::make_unique<Client>(address);
      return *known;
    };
    KEDGE_ASSIGN_OR_RETURN(std::string health, client(addresses.clients).Health(kProbeTimeout));
    KEDGE_ASSIGN_OR_RETURN(std::vector<NodeStatus> nodes, client(addresses.cluster).ListNodes(kProbeTimeout));
    ClusterView view;
    view.serving = health == "SERVING";
    for (const NodeStatus& node : nodes) {
      if (node.ready) view.ready_nodes.push_back(node.id);
    }
    return view;
  };
  return Cluster::Start(cluster, probe, cancelled);
}

}  // namespace kedge
