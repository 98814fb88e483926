// `kedge nodes`: the nodes behind a router, as a table or as JSON.
//
// Tested by client_test.cc.
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generate_options.h"
#include "cli/router_access.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(10);

std::string Table(const std::vector<NodeStatus>& nodes) {
  std::vector<std::vector<std::string>> rows = {
      {"NODE", "ROLE", "ADDRESS", "READY", "STEPS", "RUNNING", "WAITING", "ROWS", "CACHED", "HELD", "NUMERICS"}};
  for (const NodeStatus& node : nodes) {
    const std::string ready = node.ready ? "yes" : node.out.empty() ? "no" : "OUT";
    rows.push_back({node.id, node.role, node.address, ready, absl::StrCat(node.engine_steps),
                    absl::StrCat(node.running_requests), absl::StrCat(node.waiting_requests),
                    absl::StrCat(node.reserved_rows, "/", node.total_rows), absl::StrCat(node.cached_rows),
                    absl::StrCat(node.held_rows), node.numerics_class});
  }
  std::vector<size_t> widths(rows[0].size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string table;
  for (const auto& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) absl::StrAppendFormat(&table, "%-*s  ", widths[i], row[i]);
    absl::StrAppend(&table, row.back(), "\n");
  }
  for (const NodeStatus& node : nodes) {
    if (!node.out.empty()) absl::StrAppend(&table, node.id, " is out of placement: ", node.out, "\n");
  }
  return table;
}

std::string Json(const std::vector<NodeStatus>& nodes) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const NodeStatus& node : nodes) {
    list.push_back({{"node_id", node.id},
                    {"role", node.role},
                    {"address", node.address},
                    {"ready", node.ready},
                    {"out", node.out},
                    {"numerics_class", node.numerics_class},
                    {"engine_steps", node.engine_steps},
                    {"running_requests", node.running_requests},
                    {"waiting_requests", node.waiting_requests},
                    {"reserved_rows", node.reserved_rows},
                    {"cached_rows", node.cached_rows},
                    {"held_rows", node.held_rows},
                    {"total_rows", node.total_rows}});
  }
  return list.dump(2) + "\n";
}

int ListNodes(const RouterAccess& router, AnswerFormat format) {
  const absl::StatusOr<std::unique_ptr<Client>> client = Connect(router);
  const absl::StatusOr<std::vector<NodeStatus>> nodes = client.ok() ? (*client)->ListNodes(kTimeout) : client.status();
  if (!nodes.ok()) {
    SayError(nodes.status());
    return kExitFailed;
  }
  WriteOut(format == AnswerFormat::kJson ? Json(*nodes) : Table(*nodes));
  return kExitOk;
}

}  // namespace

void AddNodesCommand(CLI::App* app, Action* action) {
  struct Options {
    RouterAccess router;
    AnswerFormat format = AnswerFormat::kText;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("nodes", "List the nodes of a cluster");
  AddClusterOption(command, &options->router);
  AddFormatOption(command, "text: a table; json: a list of objects", &options->format);
  command->callback([options, action] { *action = [options] { return ListNodes(options->router, options->format); }; });
}

}  // namespace kedge
