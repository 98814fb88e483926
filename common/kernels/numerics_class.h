// Which devices give the same bits.
#ifndef KEDGE_COMMON_KERNELS_NUMERICS_CLASS_H_
#define KEDGE_COMMON_KERNELS_NUMERICS_CLASS_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/kernels/create_ops.h"

namespace kedge {

// What `ops` makes of fixed inputs, as 8 hex digits: a hash of the bits of every operation of a forward pass, with each
// type of weights and of keys and values, for many rows and for one. Backends that promise the same bits have the same
// one; a build, a compiler or a machine that differs in a single bit of it has another. Takes some milliseconds.
// Errors of LoadMatrix and the like, and of the step. REQUIRES: nothing was loaded with `ops`, and nothing will be.
absl::StatusOr<std::string> SelfTest(Ops& ops);

// The name of the class that a device of this backend is in: Ops::numerics_class, a point, and its SelfTest, made with
// a backend of its own. Errors of CreateOps too.
absl::StatusOr<std::string> NumericsClass(const OpsOptions& options);

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_NUMERICS_CLASS_H_
