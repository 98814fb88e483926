// Tested by salience_store_test.cc.
#include "common/node/salience_store.h"

#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/cache_dir.h"
#include "common/base/status.h"
#include "common/base/write_file.h"
#include "common/node/known_heads.h"

namespace kedge {
namespace {

std::string StoredPath(const std::string& fingerprint) {
  const std::string directory = CacheDir();
  return directory.empty() ? "" : absl::StrCat(directory, "/salience/", fingerprint);
}

absl::StatusOr<FoundHeads> Parsed(absl::string_view text, const ModelConfig& config, absl::string_view place) {
  absl::StatusOr<SalienceHeads> heads =
      ParseSalienceHeads(absl::StripAsciiWhitespace(text), static_cast<uint32_t>(config.num_layers),
                         static_cast<uint32_t>(config.num_heads));
  if (heads.ok()) return FoundHeads{.heads = *std::move(heads)};
  return absl::InvalidArgumentError(absl::StrCat(place, ": ", heads.status().message()));
}

// What is stored under the fingerprint or stands in the file; nullopt if there is neither.
absl::StatusOr<std::optional<FoundHeads>> FindOwn(const GgufFile& file, const std::string& fingerprint,
                                                  const ModelConfig& config) {
  if (const std::string path = StoredPath(fingerprint); !path.empty()) {
    std::ifstream stored(path);
    std::stringstream text;
    if (stored && text << stored.rdbuf()) return Parsed(text.str(), config, path);
  }
  if (!file.Has(kSalienceHeadsKey)) return std::nullopt;
  KEDGE_ASSIGN_OR_RETURN(const std::string text, file.GetString(kSalienceHeadsKey));
  return Parsed(text, config, absl::StrCat(file.name(), ": ", kSalienceHeadsKey));
}

}  // namespace

absl::StatusOr<FoundHeads> FindSalienceHeads(const ModelFiles& files, const ModelConfig& config) {
  if (files.adapter != nullptr) {
    KEDGE_ASSIGN_OR_RETURN(const std::string fingerprint, ModelFingerprint(files));
    KEDGE_ASSIGN_OR_RETURN(std::optional<FoundHeads> found, FindOwn(files.adapter->file(), fingerprint, config));
    if (found.has_value()) return *std::move(found);
  }
  KEDGE_ASSIGN_OR_RETURN(const std::string fingerprint, ModelFingerprint(*files.base));
  KEDGE_ASSIGN_OR_RETURN(std::optional<FoundHeads> found, FindOwn(*files.base, fingerprint, config));
  if (found.has_value()) return *std::move(found);
  if (const absl::string_view known = KnownSalienceHeads(fingerprint); !known.empty()) {
    return Parsed(known, config, "known heads");
  }
  return FoundHeads{.heads = {.retrieval = AllHeads(config)}, .calibrated = false};
}

absl::StatusOr<std::string> StoreSalienceHeads(const SalienceHeads& heads, const std::string& fingerprint) {
  const std::string path = StoredPath(fingerprint);
  if (path.empty()) return absl::FailedPreconditionError("they are not stored: neither HOME nor XDG_CACHE_HOME is set");
  const absl::Status written = WritePrivateFile(path, absl::StrCat(SalienceHeadsText(heads), "\n"));
  if (written.ok()) return path;
  return absl::Status(written.code(), absl::StrCat("they are not stored: ", written.message()));
}

}  // namespace kedge
