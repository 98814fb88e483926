// The few names of Abseil that stand in the headers above the scalar kernels. The probe is built where CUDA is and
// Abseil is not: run_on_hardware.sh writes headers of one line, absl/types/span.h and so on, that include this one.
// What is only declared here is never called by the files that the probe compiles.
#ifndef KEDGE_TESTS_GPU_ABSL_NAMES_H_
#define KEDGE_TESTS_GPU_ABSL_NAMES_H_

#include <initializer_list>
#include <span>
#include <string_view>
#include <type_traits>

#define ABSL_GUARDED_BY(mutex)
#define ABSL_LOCKS_EXCLUDED(mutex)
#define ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex)

namespace absl {

template <typename T>
class Span : public std::span<T> {
 public:
  using std::span<T>::span;
  Span(std::initializer_list<std::remove_const_t<T>> list) requires std::is_const_v<T>
      : std::span<T>(list.begin(), list.size()) {}
};
using string_view = std::string_view;
class Duration {};
constexpr Duration Seconds(int) { return {}; }
class Mutex {};
struct Status {};
inline Status OkStatus() { return {}; }
template <typename T>
class StatusOr;
template <typename Signature>
class FunctionRef;

}  // namespace absl

#endif  // KEDGE_TESTS_GPU_ABSL_NAMES_H_
