// Where Kedge keeps what it can make or fetch again: models, fingerprints, packed weights, salience heads, logs.
// Nothing but a model that is fetched needs it: what cannot be kept there is made again, or done without.
#ifndef KEDGE_COMMON_BASE_CACHE_DIR_H_
#define KEDGE_COMMON_BASE_CACHE_DIR_H_

#include <string>

namespace kedge {

// ${XDG_CACHE_HOME:-$HOME/.cache}/kedge, read from the environment on each call; "" when neither is an absolute path.
// The directory need not exist. Thread-safe as long as nobody changes the environment.
std::string CacheDir();

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_CACHE_DIR_H_
