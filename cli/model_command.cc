// `kedge model inspect FILE`: what a GGUF file holds, a model or an adapter, as far as Kedge cares; `fetch` and `list`:
// the models that are known by name.
//
// Tested by main_test.sh, model_list_test.cc and tests/score_test.py.
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generate_options.h"
#include "cli/model_fetch.h"
#include "cli/model_list.h"
#include "common/base/cache_dir.h"
#include "common/base/status.h"
#include "common/kernels/row_shape.h"
#include "common/kernels/tensor_type.h"
#include "common/model/config.h"
#include "common/model/gguf.h"
#include "common/model/lora.h"
#include "common/model/model_files.h"
#include "common/node/salience_store.h"
#include "common/rpc/flags.h"
#include "common/rpc/signals.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

std::string StringOr(const GgufFile& file, const char* key, const char* otherwise) {
  return file.GetString(key).value_or(otherwise);
}

absl::StatusOr<nlohmann::ordered_json> DescribeAdapter(const LoraAdapter& adapter) {
  const GgufFile& file = adapter.file();
  KEDGE_ASSIGN_OR_RETURN(const std::string fingerprint, ModelFingerprint(file));
  nlohmann::ordered_json json;
  json["name"] = StringOr(file, "general.name", "");
  json["adapter_type"] = "lora";
  json["fingerprint"] = fingerprint;
  json["file_bytes"] = file.total_bytes();
  json["rank"] = adapter.largest_rank();
  json["alpha"] = adapter.alpha();
  json["changed_tensors"] = adapter.pairs().size();
  json["anchor_policy"] = adapter.policy();
  json["base_sha256"] = adapter.base_digest();
  return json;
}

// `adapter` may be empty. A file that is an adapter is described by itself.
absl::StatusOr<nlohmann::ordered_json> Describe(const std::string& path, const std::string& adapter_path) {
  if (adapter_path.empty()) {
    KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<const GgufFile> file, GgufFile::Open(path));
    if (IsAdapter(*file)) {
      KEDGE_ASSIGN_OR_RETURN(const std::shared_ptr<const LoraAdapter> adapter, LoraAdapter::Create(std::move(file)));
      return DescribeAdapter(*adapter);
    }
  }
  KEDGE_ASSIGN_OR_RETURN(const ModelFiles files, ModelFiles::Open(path, adapter_path));
  const GgufFile* const file = files.base.get();
  KEDGE_ASSIGN_OR_RETURN(ModelConfig config, LoadConfig(*file));
  KEDGE_ASSIGN_OR_RETURN(std::string fingerprint, ModelFingerprint(files));
  std::map<std::string, int> types;
  uint64_t parameters = 0;
  for (const GgufTensor& tensor : file->tensors()) {
    uint64_t elements = 1;
    for (uint64_t side : tensor.shape) elements *= side;
    parameters += elements;
    ++types[std::string(TensorTypeName(tensor.type))];
  }
  nlohmann::ordered_json json;
  json["name"] = config.name;
  json["architecture"] = config.architecture;
  json["fingerprint"] = fingerprint;
  json["file_bytes"] = file->total_bytes();
  json["files"] = 1 + file->further_parts().size();
  json["gguf_version"] = file->version();
  json["parameters"] = parameters;
  json["tensors"] = file->tensors().size();
  json["tensor_types"] = types;
  json["context_length"] = config.context_length;
  json["layers"] = config.num_layers;
  json["hidden_size"] = config.hidden_size;
  json["ffn_size"] = config.ffn_size;
  json["heads"] = config.num_heads;
  json["kv_heads"] = config.num_kv_heads;
  json["head_dim"] = config.head_dim;
  json["vocab_size"] = config.vocab_size;
  json["tied_output"] = config.tied_output;
  json["rope_freq_base"] = config.rope.freq_base;
  json["rope_scaling"] = RopeScalingText(config.rope.scaling);
  json["row_bytes_f16"] = config.row_shape(KvType::kF16).row_bytes();
  json["anchor_policy"] = files.adapter_policy().empty() ? StringOr(*file, "kedge.anchor.policy", "")
                                                         : files.adapter_policy();
  json["tokenizer"] = StringOr(*file, "tokenizer.ggml.model", "none");
  json["pre_tokenizer"] = StringOr(*file, "tokenizer.ggml.pre", "");
  json["chat_template"] = file->Has("tokenizer.chat_template");
  KEDGE_ASSIGN_OR_RETURN(const FoundHeads found, FindSalienceHeads(files, config));
  json["salience_heads"] = found.calibrated ? SalienceHeadsText(found.heads) : "";
  if (files.adapter != nullptr) {
    KEDGE_ASSIGN_OR_RETURN(json["adapter"], DescribeAdapter(*files.adapter));
  }
  return json;
}

std::string Text(const nlohmann::ordered_json& json) {
  std::string text;
  for (const auto& [key, value] : json.items()) {
    absl::StrAppendFormat(&text, "%-16s  %s\n", key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text;
}

int Print(const absl::StatusOr<std::string>& text) {
  if (!text.ok()) {
    SayError(text.status());
    return kExitFailed;
  }
  WriteOut(*text);
  return kExitOk;
}

std::string Dump(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

absl::StatusOr<std::string> Inspect(const std::string& model, const std::string& adapter, AnswerFormat format) {
  KEDGE_ASSIGN_OR_RETURN(const std::string path, FindModel(model, [] { return false; }));  // a signal ends this program
  KEDGE_ASSIGN_OR_RETURN(const nlohmann::ordered_json json, Describe(path, adapter));
  return format == AnswerFormat::kText ? Text(json) : Dump(json);
}

absl::StatusOr<std::string> Fetch(const std::string& model) {
  StopSignals signals;
  KEDGE_ASSIGN_OR_RETURN(const std::string path, FindModel(model, [&signals] { return signals.stopped(); }));
  return path + "\n";
}

// As of flags that name a file (kFileType).
std::string CheckNotEmpty(const std::string& text) { return text.empty() ? "is empty" : ""; }

}  // namespace

void AddModelCommand(CLI::App* app, Action* action) {
  struct Options {
    std::string path;
    std::string adapter;
    AnswerFormat format = AnswerFormat::kText;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("model", "Look at model files");
  command->require_subcommand(1);
  CLI::App* inspect = command->add_subcommand("inspect", "Describe a GGUF file");
  inspect->add_option("FILE", options->path, "GGUF file, a model or an adapter, or a name of `kedge model list`")
      ->check(CheckNotEmpty)
      ->required();
  inspect->add_option("--adapter", options->adapter, "Adapter for that model, to describe the two together")
      ->type_name(kFileType);
  AddFormatOption(inspect, "text: one line for each value; json: one object", &options->format);
  inspect->callback([options, action] {
    *action = [options] { return Print(Inspect(options->path, options->adapter, options->format)); };
  });
  CLI::App* fetch = command->add_subcommand("fetch", "Print where a model lies; fetch it if it is not there");
  fetch->add_option("NAME", options->path, "A name of `kedge model list` (default: smollm2-135m)")
      ->check(CheckNotEmpty);
  fetch->callback([options, action] { *action = [options] { return Print(Fetch(options->path)); }; });
  CLI::App* list = command->add_subcommand("list", "The models that are known by name");
  AddFormatOption(list, "text: a table; json: one array", &options->format);
  list->callback([options, action] {
    *action = [options] {
      const nlohmann::ordered_json models = DescribeSources(ModelSources(), CacheDir());
      return Print(options->format == AnswerFormat::kText ? SourcesTable(models) : Dump(models));
    };
  });
}

}  // namespace kedge
