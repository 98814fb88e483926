// The one place that asks the environment for the cache directory; the launcher uses the same expression.
//
// Tested by cache_dir_test.cc.
#include "common/base/cache_dir.h"

#include <cstdlib>

namespace kedge {

std::string CacheDir() {
  // The XDG specification: a relative path counts as unset.
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return std::string(cache) + "/kedge";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return std::string(home) + "/.cache/kedge";
  return "";
}

}  // namespace kedge
