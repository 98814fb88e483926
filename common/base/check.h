// KEDGE_CHECK(condition): for bugs of our own only. What comes from outside gets an absl::Status.
#ifndef KEDGE_COMMON_BASE_CHECK_H_
#define KEDGE_COMMON_BASE_CHECK_H_

#include <cstdio>
#include <cstdlib>

#define KEDGE_CHECK(condition)                                                                           \
  do {                                                                                                   \
    if (!(condition)) {                                                                                  \
      std::fprintf(stderr, "%s:%d: internal error: %s does not hold\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                                      \
    }                                                                                                    \
  } while (false)

#endif  // KEDGE_COMMON_BASE_CHECK_H_
