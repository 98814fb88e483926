// Metadata first, then the tensor table is compared with what the metadata promise (model_tensors.h).
//
// Fingerprints are remembered in one small file per (path, size, modification time), named by the hash of those three.
//
// Tested by config_test.cc and gguf_fuzzer.cc.
#include "common/model/config.h"

#include <openssl/evp.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/cache_dir.h"
#include "common/base/file_mark.h"
#include "common/base/status.h"
#include "common/base/write_file.h"
#include "common/model/model_tensors.h"

namespace kedge {
namespace {

// Larger counts are damage; below it, products of two counts fit into 64 bits.
constexpr int64_t kLargestCount = int64_t{1} << 30;

// How the supported ones differ.
struct Architecture {
  absl::string_view name;
  bool has_biases;
  bool has_head_norms;
  bool rope_halves;
};
constexpr Architecture kArchitectures[] = {
    {"llama", false, false, false},
    {"qwen2", true, false, true},
    {"qwen3", false, true, true},
};

// What the caller asked for is in the file or not: a missing key is the file's fault.
template <typename T>
absl::StatusOr<T> Required(absl::StatusOr<T> value) {
  if (absl::IsNotFound(value.status())) return absl::InvalidArgumentError(value.status().message());
  return value;
}

absl::StatusOr<int> RequiredCount(const GgufFile& file, absl::string_view key) {
  KEDGE_ASSIGN_OR_RETURN(int64_t value, Required(file.GetInt(key)));
  if (value < 1 || value > kLargestCount) {
    return KeyError(file, key, absl::StrCat("must be from 1 to ", kLargestCount, ", found ", value));
  }
  return static_cast<int>(value);
}

absl::StatusOr<int> OptionalCount(const GgufFile& file, absl::string_view key, int otherwise) {
  if (!file.Has(key)) return otherwise;
  return RequiredCount(file, key);
}

absl::Status LoadArchitecture(const GgufFile& file, ModelConfig& config) {
  if (IsAdapter(file)) {
    return KeyError(file, "general.type", "this is an adapter; give it with --adapter, and its base with --model");
  }
  KEDGE_ASSIGN_OR_RETURN(config.architecture, Required(file.GetString("general.architecture")));
  for (const Architecture& known : kArchitectures) {
    if (config.architecture != known.name) continue;
    config.has_biases = known.has_biases;
    config.has_head_norms = known.has_head_norms;
    config.rope_halves = known.rope_halves;
    return absl::OkStatus();
  }
  const std::string supported = absl::StrJoin(
      kArchitectures, ", ", [](std::string* out, const Architecture& known) { absl::StrAppend(out, known.name); });
  return KeyError(
      file, "general.architecture",
      absl::StrCat("'", absl::CHexEscape(config.architecture), "' is not supported; supported: ", supported));
}

// The full name of one of the architecture's keys.
std::string Key(const ModelConfig& config, absl::string_view key) {
  return absl::StrCat(config.architecture, ".", key);
}

// Keys of other llama-like models that change the result. They are accepted with the value that changes nothing.
absl::Status CheckUnsupportedFeatures(const GgufFile& file, const ModelConfig& config) {
  struct Feature {
    absl::string_view key;
    double neutral;
    double also_neutral;
  };
  constexpr Feature kFeatures[] = {
      {"expert_count", 0, 0},
      {"expert_used_count", 0, 0},
      {"attention.sliding_window", 0, 0},
      {"attention.clamp_kqv", 0, 0},
      {"attention.max_alibi_bias", 0, 0},
      {"attention.scale", 0, 0},
      {"attn_logit_softcapping", 0, 0},
      {"final_logit_softcapping", 0, 0},
      {"logit_scale", 0, 1},
      {"residual_scale", 0, 1},
      {"embedding_scale", 0, 1},
      {"rope.scaling.yarn_ext_factor", -1, 1},
      {"rope.scaling.yarn_attn_factor", 1, 1},
      {"rope.scaling.yarn_log_multiplier", 0, 0},
  };
  for (const Feature& feature : kFeatures) {
    const std::string key = Key(config, feature.key);
    if (!file.Has(key)) continue;
    KEDGE_ASSIGN_OR_RETURN(double value, file.GetFloat(key));
    if (value != feature.neutral && value != feature.also_neutral) {
      return KeyError(file, key,
                      absl::StrCat(value, " is not supported; supported: absent or ", feature.also_neutral));
    }
  }
  const std::string causal_key = Key(config, "attention.causal");
  if (file.Has(causal_key)) {
    KEDGE_ASSIGN_OR_RETURN(bool causal, file.GetBool(causal_key));
    if (!causal) return KeyError(file, causal_key, "false is not supported; supported: true");
  }
  return absl::OkStatus();
}

absl::Status LoadHeads(const GgufFile& file, ModelConfig& config) {
  const std::string heads_key = Key(config, "attention.head_count");
  const std::string kv_heads_key = Key(config, "attention.head_count_kv");
  const std::string key_length_key = Key(config, "attention.key_length");
  const std::string value_length_key = Key(config, "attention.value_length");
  KEDGE_ASSIGN_OR_RETURN(config.num_heads, RequiredCount(file, heads_key));
  KEDGE_ASSIGN_OR_RETURN(config.num_kv_heads, OptionalCount(file, kv_heads_key, config.num_heads));
  if (config.num_heads % config.num_kv_heads != 0) {
    return KeyError(file, kv_heads_key, absl::StrCat("must divide the ", config.num_heads, " query heads, found ",
                                                     config.num_kv_heads));
  }
  if (!file.Has(key_length_key) && config.hidden_size % config.num_heads != 0) {
    return KeyError(file, heads_key, absl::StrCat("must divide the embedding length ", config.hidden_size, ", found ",
                                                  config.num_heads));
  }
  KEDGE_ASSIGN_OR_RETURN(config.head_dim, OptionalCount(file, key_length_key, config.hidden_size / config.num_heads));
  if (config.head_dim < 8 || config.head_dim % 2 != 0) {
    return KeyError(file, file.Has(key_length_key) ? key_length_key : heads_key,
                    absl::StrCat("gives a head size of ", config.head_dim, "; supported: even, at least 8"));
  }
  KEDGE_ASSIGN_OR_RETURN(int value_length, OptionalCount(file, value_length_key, config.head_dim));
  if (value_length != config.head_dim) {
    return KeyError(file, value_length_key, absl::StrCat("must equal the head size ", config.head_dim, ", found ",
                                                         value_length));
  }
  return absl::OkStatus();
}

absl::Status LoadEpsilon(const GgufFile& file, ModelConfig& config) {
  const std::string epsilon_key = Key(config, "attention.layer_norm_rms_epsilon");
  // No default: another epsilon than the model's would go unnoticed.
  KEDGE_ASSIGN_OR_RETURN(double epsilon, Required(file.GetFloat(epsilon_key)));
  if (!(epsilon >= 0 && epsilon < 1)) {
    return KeyError(file, epsilon_key, absl::StrCat("must be at least 0 and below 1, found ", epsilon));
  }
  config.rms_epsilon = static_cast<float>(epsilon);
  return absl::OkStatus();
}

// The embedding has a row for each token, and may have more (padding).
absl::StatusOr<int> VocabularySize(const GgufFile& file) {
  constexpr absl::string_view kEmbedding = "token_embd.weight";
  const GgufTensor* embedding = file.FindTensor(kEmbedding);
  if (embedding == nullptr) return TensorError(file, kEmbedding, "missing");
  if (embedding->shape.size() != 2 || embedding->shape[1] > static_cast<uint64_t>(kLargestCount)) {
    return TensorError(file, kEmbedding,
                       absl::StrCat("found shape [", absl::StrJoin(embedding->shape, ", "),
                                    "], must be [embedding length, vocabulary size]"));
  }
  constexpr absl::string_view kTokens = "tokenizer.ggml.tokens";
  if (file.Has(kTokens)) {
    KEDGE_ASSIGN_OR_RETURN(const std::vector<std::string>* tokens, file.GetStrings(kTokens));
    if (tokens->size() > embedding->shape[1]) {
      return KeyError(file, kTokens, absl::StrCat(tokens->size(), " tokens, but token_embd.weight has only ",
                                                  embedding->shape[1], " rows"));
    }
  }
  return static_cast<int>(embedding->shape[1]);
}

absl::StatusOr<std::string> ModelName(const GgufFile& file) {
  if (!file.Has("general.name")) return std::filesystem::path(file.name()).stem().string();
  return file.GetString("general.name");
}

// SHA-256 in hex.
absl::StatusOr<std::string> Sha256(absl::Span<const uint8_t> bytes) {
  std::array<unsigned char, 32> digest;
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1 ||
      size != digest.size()) {
    return absl::InternalError("SHA-256 failed in the crypto library");
  }
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

absl::Span<const uint8_t> AsBytes(absl::string_view text) {
  return absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

// A file's memory: its fingerprint, and in the second line what that belongs to, its mark and its path.

// "" when nothing (or nothing whole) is remembered.
std::string RecallFingerprint(const std::string& path, const std::string& owner) {
  std::ifstream stream(path);
  std::string fingerprint;
  std::string belongs_to;
  std::getline(stream, fingerprint);
  std::getline(stream, belongs_to);
  return IsFingerprint(fingerprint) && belongs_to == owner ? fingerprint : "";
}

void RememberFingerprint(const std::string& path, const FileOrigin& origin, const std::string& owner,
                         const std::string& fingerprint, const Notice& notice) {
  if (MayStillChange(origin.identity, absl::Now())) return;
  const absl::Status written = WritePrivateFile(path, absl::StrCat(fingerprint, "\n", owner, "\n"));
  if (written.ok() || notice == nullptr) return;
  notice(absl::StrCat("each start reads all of ", origin.real_path, " for its SHA-256: ", written.message()));
}

// Of one file, or one part of a split model.
absl::StatusOr<std::string> FileFingerprint(const GgufFile& file, const std::string& cache_dir, const Notice& notice) {
  if (!file.origin().has_value() || cache_dir.empty()) return Sha256(file.bytes());
  const FileOrigin& origin = *file.origin();
  KEDGE_ASSIGN_OR_RETURN(const std::string name, Sha256(AsBytes(origin.real_path)));
  const std::string path = absl::StrCat(cache_dir, "/", name);
  const std::string owner =
      absl::StrCat(FileMark(origin.identity, file.bytes()), " ", absl::CHexEscape(origin.real_path));
  if (std::string remembered = RecallFingerprint(path, owner); !remembered.empty()) return remembered;
  KEDGE_ASSIGN_OR_RETURN(const std::string fingerprint, Sha256(file.bytes()));
  RememberFingerprint(path, origin, owner, fingerprint, notice);
  return fingerprint;
}

}  // namespace

std::vector<HeadRef> AllHeads(const ModelConfig& config) {
  std::vector<HeadRef> heads;
  for (int layer = 0; layer < config.num_layers; ++layer) {
    for (int head = 0; head < config.num_heads; ++head) {
      heads.push_back({static_cast<uint32_t>(layer), static_cast<uint32_t>(head)});
    }
  }
  return heads;
}

bool IsAdapter(const GgufFile& file) { return file.GetString("general.type").value_or("") == "adapter"; }

absl::StatusOr<ModelConfig> LoadConfig(const GgufFile& file) {
  ModelConfig config;
  KEDGE_RETURN_IF_ERROR(LoadArchitecture(file, config));
  KEDGE_ASSIGN_OR_RETURN(config.name, ModelName(file));
  KEDGE_ASSIGN_OR_RETURN(config.num_layers, RequiredCount(file, Key(config, "block_count")));
  KEDGE_ASSIGN_OR_RETURN(config.hidden_size, RequiredCount(file, Key(config, "embedding_length")));
  KEDGE_ASSIGN_OR_RETURN(config.ffn_size, RequiredCount(file, Key(config, "feed_forward_length")));
  KEDGE_ASSIGN_OR_RETURN(config.context_length, RequiredCount(file, Key(config, "context_length")));
  KEDGE_RETURN_IF_ERROR(LoadHeads(file, config));
  KEDGE_RETURN_IF_ERROR(LoadEpsilon(file, config));
  KEDGE_ASSIGN_OR_RETURN(config.rope, LoadRope(file, config.architecture, config.head_dim, config.context_length));
  KEDGE_RETURN_IF_ERROR(CheckUnsupportedFeatures(file, config));
  KEDGE_ASSIGN_OR_RETURN(config.vocab_size, VocabularySize(file));
  config.tied_output = file.FindTensor("output.weight") == nullptr;
  KEDGE_RETURN_IF_ERROR(CheckTensors(file, config));
  return config;
}

absl::StatusOr<std::string> ModelFingerprint(const GgufFile& file, const std::string& cache_dir, const Notice& notice) {
  KEDGE_ASSIGN_OR_RETURN(std::string fingerprints, FileFingerprint(file, cache_dir, notice));
  if (file.further_parts().empty()) return fingerprints;
  for (const std::shared_ptr<const GgufFile>& part : file.further_parts()) {
    KEDGE_ASSIGN_OR_RETURN(const std::string fingerprint, FileFingerprint(*part, cache_dir, notice));
    fingerprints += fingerprint;
  }
  return Sha256(AsBytes(fingerprints));
}

absl::StatusOr<std::string> ModelFingerprint(const GgufFile& file, const Notice& notice) {
  const std::string cache = CacheDir();
  return ModelFingerprint(file, cache.empty() ? "" : cache + "/fingerprints", notice);
}

bool IsFingerprint(absl::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

absl::StatusOr<std::string> CombinedFingerprint(const std::string& first, const std::string& second) {
  return Sha256(AsBytes(absl::StrCat(first, second)));
}

}  // namespace kedge
