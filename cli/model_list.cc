// Tested by model_list_test.cc.
#include "cli/model_list.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/model_fetch.h"

namespace kedge {

nlohmann::ordered_json DescribeSources(const std::vector<ModelSource>& sources, const std::string& cache_dir) {
  nlohmann::ordered_json models = nlohmann::ordered_json::array();
  for (const ModelSource& source : sources) {
    const std::string& first = source.pieces.front().requirement;
    const std::string& last = source.pieces.back().requirement;
    nlohmann::ordered_json& model = models.emplace_back();
    model["name"] = source.name;
    model["what"] = source.what;
    model["bytes"] = source.size;
    model["licence"] = source.licence;
    model["sha256"] = source.sha256;
    model["from"] = absl::StrCat("PyPI: ", first, source.pieces.size() > 1 ? absl::StrCat(" to ", last) : "");
    model["file"] = cache_dir.empty() ? "" : absl::StrCat(cache_dir, "/", source.file);
    model["state"] = cache_dir.empty() ? "no cache directory" : CacheState(source, cache_dir);
  }
  return models;
}

std::string SourcesTable(const nlohmann::ordered_json& sources) {
  size_t width = 0;
  for (const auto& model : sources) width = std::max(width, model["name"].get<std::string>().size());
  std::string text;
  for (const auto& model : sources) {
    const auto field = [&model](const char* name) { return model[name].get<std::string>(); };
    absl::StrAppendFormat(&text, "%-*s  %s; %.0f MB, %s; %s\n", static_cast<int>(width), field("name"), field("what"),
                          model["bytes"].get<double>() * 1e-6, field("licence"), field("state"));
    absl::StrAppendFormat(&text, "%-*s  %s, SHA-256 %s\n", static_cast<int>(width), "", field("from"), field("sha256"));
  }
  return text;
}

}  // namespace kedge
