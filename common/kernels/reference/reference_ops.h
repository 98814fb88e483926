// The slow, obvious backend: the oracle that the tests compare `cpu` with.
#ifndef KEDGE_COMMON_KERNELS_REFERENCE_REFERENCE_OPS_H_
#define KEDGE_COMMON_KERNELS_REFERENCE_REFERENCE_OPS_H_

#include <memory>

#include "common/kernels/host_ops.h"

namespace kedge {

// One thread, scalar loops, weights dequantised to float when they are loaded, sums in double, attention over a dense
// mask. Class "reference-1": exp, sin and cos are the C library's, so its bits hold for one machine's library only.
// Prompt rows and generated rows are computed alike.
std::unique_ptr<HostOps> CreateReferenceOps();

}  // namespace kedge

#endif  // KEDGE_COMMON_KERNELS_REFERENCE_REFERENCE_OPS_H_
