// Where Kedge keeps what it can make or fetch again: models, fingerprints, logs.
#ifndef KEDGE_COMMON_BASE_CACHE_DIR_H_
#define KEDGE_COMMON_BASE_CACHE_DIR_H_

#include <string>

namespace kedge {

// ${XDG_CACHE_HOME:-$HOME/.cache}/kedge, read from the environment on each call; "" when neither is set. The directory
// need not exist. Thread-safe as long as nobody changes the environment.
std::string CacheDir();

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_CACHE_DIR_H_
