// Early returns for absl::Status and absl::StatusOr, the only two ways in which a Kedge function fails.
#ifndef KEDGE_COMMON_BASE_STATUS_H_
#define KEDGE_COMMON_BASE_STATUS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns the status of `expr` from the enclosing function if it is not OK.
#define KEDGE_RETURN_IF_ERROR(expr)                                 \
  do {                                                              \
    if (::absl::Status kedge_status = (expr); !kedge_status.ok()) { \
      return kedge_status;                                          \
    }                                                               \
  } while (false)

// KEDGE_ASSIGN_OR_RETURN(auto x, Function()): declares x, or returns the status.
#define KEDGE_ASSIGN_OR_RETURN(lhs, expr) \
  KEDGE_ASSIGN_OR_RETURN_IMPL_(KEDGE_STATUS_CONCAT_(kedge_statusor_, __LINE__), lhs, expr)

// Implementation details follow.
#define KEDGE_STATUS_CONCAT_INNER_(a, b) a##b
#define KEDGE_STATUS_CONCAT_(a, b) KEDGE_STATUS_CONCAT_INNER_(a, b)
#define KEDGE_ASSIGN_OR_RETURN_IMPL_(statusor, lhs, expr)  \
  auto statusor = (expr);                                  \
  if (!statusor.ok()) return std::move(statusor).status(); \
  lhs = *std::move(statusor)

#endif  // KEDGE_COMMON_BASE_STATUS_H_
