// `kedge model list`: the models that are known by name, and what of them is in the cache.
#ifndef KEDGE_CLI_MODEL_LIST_H_
#define KEDGE_CLI_MODEL_LIST_H_

#include <string>
#include <vector>

#include "cli/model_sources.h"
#include "nlohmann/json.hpp"

namespace kedge {

// An array of objects: name, what, bytes, licence, sha256, from, file, state (CacheState).
nlohmann::ordered_json DescribeSources(const std::vector<ModelSource>& sources, const std::string& cache_dir);

// The same for people: two lines for each model.
std::string SourcesTable(const nlohmann::ordered_json& sources);

}  // namespace kedge

#endif  // KEDGE_CLI_MODEL_LIST_H_
