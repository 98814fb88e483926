// `kedge model inspect FILE`: what a GGUF file holds, as far as Kedge cares.
//
// Tested by main_test.sh.
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/answer.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/generate_options.h"
#include "common/base/status.h"
#include "common/kernels/row_shape.h"
#include "common/kernels/tensor_type.h"
#include "common/model/config.h"
#include "common/model/gguf.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

std::string StringOr(const GgufFile& file, const char* key, const char* otherwise) {
  return file.GetString(key).value_or(otherwise);
}

absl::StatusOr<nlohmann::ordered_json> Describe(const std::string& path) {
  KEDGE_ASSIGN_OR_RETURN(std::shared_ptr<const GgufFile> file, GgufFile::Open(path));
  KEDGE_ASSIGN_OR_RETURN(ModelConfig config, LoadConfig(*file));
  KEDGE_ASSIGN_OR_RETURN(std::string fingerprint, ModelFingerprint(*file));
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
  json["fingerprint"] = fingerprint;
  json["file_bytes"] = file->bytes().size();
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
  json["rope_freq_base"] = config.rope_freq_base;
  const RowShape shape{.layers = static_cast<uint32_t>(config.num_layers),
                       .kv_heads = static_cast<uint32_t>(config.num_kv_heads),
                       .head_dim = static_cast<uint32_t>(config.head_dim),
                       .type = KvType::kF16};
  json["row_bytes_f16"] = shape.row_bytes();
  json["anchor_policy"] = StringOr(*file, "kedge.anchor.policy", "");
  json["tokenizer"] = StringOr(*file, "tokenizer.ggml.model", "none");
  json["pre_tokenizer"] = StringOr(*file, "tokenizer.ggml.pre", "");
  json["chat_template"] = file->Has("tokenizer.chat_template");
  return json;
}

std::string Text(const nlohmann::ordered_json& json) {
  std::string text;
  for (const auto& [key, value] : json.items()) {
    absl::StrAppendFormat(&text, "%-16s  %s\n", key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text;
}

int Inspect(const std::string& path, AnswerFormat format) {
  absl::StatusOr<nlohmann::ordered_json> json = Describe(path);
  if (!json.ok()) {
    SayError(json.status());
    return kExitFailed;
  }
  WriteOut(format == AnswerFormat::kText
               ? Text(*json)
               : json->dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  return kExitOk;
}

}  // namespace

void AddModelCommand(CLI::App* app, Action* action) {
  struct Options {
    std::string path;
    AnswerFormat format = AnswerFormat::kText;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app->add_subcommand("model", "Look at model files");
  command->require_subcommand(1);
  CLI::App* inspect = command->add_subcommand("inspect", "Describe a GGUF file");
  inspect->add_option("FILE", options->path, "GGUF file")->required();
  AddFormatOption(inspect, "text: one line for each value; json: one object", &options->format);
  inspect->callback([options, action] { *action = [options] { return Inspect(options->path, options->format); }; });
}

}  // namespace kedge
