// Kedge's version: what `kedge --version` prints.
#ifndef KEDGE_COMMON_BASE_VERSION_H_
#define KEDGE_COMMON_BASE_VERSION_H_

namespace kedge {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace kedge

#endif  // KEDGE_COMMON_BASE_VERSION_H_
