// From what a user gives for a model to a file: a path, a name of the table, or nothing.
#ifndef KEDGE_CLI_MODEL_FETCH_H_
#define KEDGE_CLI_MODEL_FETCH_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "cli/model_sources.h"

namespace kedge {

// Of flags that take a model.
inline constexpr char kModelHelp[] = "GGUF file, or a name of `kedge model list` (default: smollm2-135m, fetched once)";

// `model` where there is such a file or folder; else the cached file of the model of that name, or of the default one
// for "", as EnsureModel. kNotFound lists the names where it is neither.
absl::StatusOr<std::string> FindModel(const std::string& model, const std::function<bool()>& cancelled);

// Returns the path of the whole and checked file in `cache_dir`, fetching it if needed, with progress on stderr.
// Several processes at once fetch it once. Nothing has that path before its SHA-256 was right. A file that is there is
// checked by its size each time, and by its SHA-256 once (remembered in FILE.verified with its FileMark). What an
// interrupted fetch has brought in whole pieces is not fetched again (FILE.partial).
// kFailedPrecondition, in one line with both ways out, when it can't be fetched; kResourceExhausted when there is no
// room; kCancelled soon after `cancelled` turns true. REQUIRES: called on the main thread (it starts child processes).
absl::StatusOr<std::string> EnsureModel(const ModelSource& source, const std::string& cache_dir,
                                        const std::function<bool()>& cancelled);

// "here", "not here", "2 of 6 parts", ...: by size and FILE.verified, without reading all of the file.
std::string CacheState(const ModelSource& source, const std::string& cache_dir);

// SHA-256 of a file in lower-case hex.
absl::StatusOr<std::string> FileSha256(const std::string& path);

}  // namespace kedge

#endif  // KEDGE_CLI_MODEL_FETCH_H_
