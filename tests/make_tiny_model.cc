// make_tiny_model FILE KIND SEED: a random model for tests of the programs. KIND: tiny; medium, which takes long enough
// for a test to do something meanwhile; loud, whose values f16 does not hold; damaged: token 20 is no number, and nothing
// else. make_tiny_model FILE ARCHITECTURE SEED [ROPE_SCALING]: one for tools/make_architecture_vectors.py.
// make_tiny_model FILE adapter SEED [POLICY [BASE_SHA256]]: a random LoRA adapter for the tiny one.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "common/testing/tiny_model.h"

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const std::string kind = argv[2];
  if (kind == "adapter") {
    std::ofstream file(argv[1], std::ios::binary | std::ios::trunc);
    file << kedge::MakeTinyAdapter({}, {.seed = static_cast<uint32_t>(std::atoi(argv[3])),
                                        .policy = argc > 4 ? argv[4] : "",
                                        .base_digest = argc > 5 ? argv[5] : ""});
    file.close();
    return file ? 0 : 1;
  }
  kedge::TinyModelOptions options;
  if (kind == "medium") {
    options = {.layers = 6,
               .hidden = 512,
               .heads = 8,
               .kv_heads = 2,
               .head_dim = 64,
               .ffn = 1536,
               .context = 8192,
               .weight_type = kedge::TensorType::kQ8_0,
               .embedding_type = kedge::TensorType::kQ8_0};
  }
  if (kind == "llama" || kind == "qwen2" || kind == "qwen3") {
    options = {.tied = false, .architecture = kind, .rope_scaling = argc > 4 ? argv[4] : ""};
  }
  if (kind == "loud") options.value_gain = 1e6f;
  if (kind == "damaged") options = {.tied = false, .nan_embedding = 20};
  options.seed = static_cast<uint32_t>(std::atoi(argv[3]));
  const absl::Status status = kedge::WriteTinyModel(options, argv[1]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
