// `kedge calibrate`: which heads of a model choose salient sequences; no servers.
//
// Tested by tests/calibrate_test.py.
#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/calibrate_model.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generate_options.h"
#include "cli/model_fetch.h"
#include "cli/open_model.h"
#include "common/base/status.h"
#include "common/node/salience_store.h"
#include "common/rpc/flags.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

constexpr size_t kShown = 8;  // heads of each kind

struct CalibrateFlags {
  std::string model;
  std::string adapter;
  int threads = 0;
  AnswerFormat format = AnswerFormat::kText;
};

std::string TextOf(const CalibratedModel& model) {
  const auto& [retrieval, pointers] = model.ranking;
  std::string text = absl::StrFormat(
      "%d prompts; of %d heads the best: layer.head, mean reciprocal rank of what is right, attention to it\n\n",
      model.prompts, retrieval.size());
  absl::StrAppendFormat(&text, "%-24s%s\n", "pointers", "retrieval");
  for (size_t i = 0; i < std::min(kShown, retrieval.size()); ++i) {
    absl::StrAppendFormat(&text, "%-6s %.3f %.3f      %-6s %.3f %.3f\n", HeadText(pointers[i].head), pointers[i].rank,
                          pointers[i].attention, HeadText(retrieval[i].head), retrieval[i].rank,
                          retrieval[i].attention);
  }
  const std::string heads = SalienceHeadsText(model.heads);
  absl::StrAppend(&text, "\nheads     ", heads, "\nstored    ", model.stored.value_or("nowhere"), "\nmetadata  ",
                  kSalienceHeadsKey, " = \"", heads, "\"\n");
  return text;
}

nlohmann::ordered_json JsonOf(const CalibratedModel& model) {
  const auto ranks = [](const std::vector<HeadRank>& heads) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (size_t i = 0; i < std::min(kShown, heads.size()); ++i) {
      list.push_back({{"head", HeadText(heads[i].head)},
                      {"mean_reciprocal_rank", heads[i].rank},
                      {"attention", heads[i].attention}});
    }
    return list;
  };
  nlohmann::ordered_json json;
  json["heads"] = SalienceHeadsText(model.heads);
  json["stored"] = model.stored.value_or("");
  json["prompts"] = model.prompts;
  json["pointers"] = ranks(model.ranking.pointers);
  json["retrieval"] = ranks(model.ranking.retrieval);
  return json;
}

absl::StatusOr<CalibratedModel> Calibrated(const CalibrateFlags& flags) {
  const auto never = [] { return false; };  // a signal ends this program
  KEDGE_ASSIGN_OR_RETURN(const ModelFiles files, OpenModel(flags.model, flags.adapter, never));
  return CalibrateModel(files, flags.threads, never);
}

int RunCalibrate(const CalibrateFlags& flags) {
  const absl::StatusOr<CalibratedModel> model = Calibrated(flags);
  if (!model.ok()) {
    SayError(model.status());
    return kExitFailed;
  }
  WriteOut(flags.format == AnswerFormat::kJson ? JsonOf(*model).dump() + "\n" : TextOf(*model));
  if (model->stored.ok()) return kExitOk;
  SayError(model->stored.status());
  return kExitFailed;
}

}  // namespace

void AddCalibrateCommand(CLI::App* app, Action* action) {
  auto flags = std::make_shared<CalibrateFlags>();
  CLI::App* command = app->add_subcommand(
      "calibrate", "Find the heads of a model by which policies with `salient` choose, and store them; no servers");
  command->add_option("--model", flags->model, kModelHelp)->type_name(kFileType);
  command->add_option("--adapter", flags->adapter, "LoRA adapter for that model, a GGUF file (default: none)")
      ->type_name(kFileType);
  command->add_option("--threads", flags->threads, "threads that compute (default: one per core)")
      ->check(WholeNumber(0, 1024));
  AddFormatOption(command, "text: the best heads and what is stored; json: the same as one object", &flags->format);
  command->callback([flags, action] { *action = [flags] { return RunCalibrate(*flags); }; });
}

}  // namespace kedge
