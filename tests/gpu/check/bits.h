// Whether a backend gives the bits of its numerics class, on small models and whole requests (tests/golden_bits.h).
#ifndef KEDGE_TESTS_GPU_CHECK_BITS_H_
#define KEDGE_TESTS_GPU_CHECK_BITS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/node/load_model.h"

namespace kedge {

struct BitsOptions {
  DeviceOptions device;               // kv_type is set for each run
  std::vector<int> models;            // numbers from 1; empty: all
  std::vector<std::string> kv_types;  // empty: all
  std::string write;                  // a file that gets the hashes
  std::string expect;                 // a file that has them
  bool beside = false;                // the cpu backend computes the same here, and both are compared row by row
};

// Reports a line for each model; returns whether nothing differs. An error: a file or a device that cannot be had.
absl::StatusOr<bool> CheckBits(const BitsOptions& options);

}  // namespace kedge

#endif  // KEDGE_TESTS_GPU_CHECK_BITS_H_
