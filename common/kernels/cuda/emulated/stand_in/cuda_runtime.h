// Stands in for CUDA's header of this name where g++ compiles kernels for the emulated device: the words of the
// language, vectors, and the functions that a kernel may call. What is not here a kernel does without, or it is added
// here with its exact meaning: what CUDA leaves to the hardware's rounding (__expf, rsqrtf) has no place.
//
// Not here either: __shared__ variables, which g++ could not make anew for each block. A kernel lays what its threads
// share into one struct in dynamic shared memory (SharedMemory in device.h).
#ifndef KEDGE_COMMON_KERNELS_CUDA_EMULATED_STAND_IN_CUDA_RUNTIME_H_
#define KEDGE_COMMON_KERNELS_CUDA_EMULATED_STAND_IN_CUDA_RUNTIME_H_

#include <cmath>
#include <cstddef>
#include <cstdint>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

// --- Vectors ---

#define KEDGE_CUDA_VECTORS(type, name, align2, align4)             \
  struct __attribute__((aligned(align2))) name##2 {                \
    type x, y;                                                     \
  };                                                               \
  struct name##3 {                                                 \
    type x, y, z;                                                  \
  };                                                               \
  struct __attribute__((aligned(align4))) name##4 {                \
    type x, y, z, w;                                               \
  };                                                               \
  inline name##2 make_##name##2(type x, type y) { return {x, y}; } \
  inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
KEDGE_CUDA_VECTORS(signed char, char, 2, 4)
KEDGE_CUDA_VECTORS(unsigned char, uchar, 2, 4)
KEDGE_CUDA_VECTORS(short, short, 4, 8)
KEDGE_CUDA_VECTORS(unsigned short, ushort, 4, 8)
KEDGE_CUDA_VECTORS(int, int, 8, 16)
KEDGE_CUDA_VECTORS(unsigned, uint, 8, 16)
KEDGE_CUDA_VECTORS(float, float, 8, 16)
#undef KEDGE_CUDA_VECTORS
struct __attribute__((aligned(16))) double2 {
  double x, y;
};

struct dim3 {
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  unsigned x, y, z;
};

// Set by the scheduler before each turn of a thread. (__thread and not thread_local: a plain read.)
extern __thread uint3 threadIdx, blockIdx;
extern __thread uint3 blockDim, gridDim;
inline constexpr int warpSize = 32;

// --- Arithmetic: each is one operation of IEEE, or of whole numbers ---

inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }

inline float __uint_as_float(unsigned bits) { return __builtin_bit_cast(float, bits); }
inline unsigned __float_as_uint(float value) { return __builtin_bit_cast(unsigned, value); }
inline float __int_as_float(int bits) { return __builtin_bit_cast(float, bits); }
inline int __float_as_int(float value) { return __builtin_bit_cast(int, value); }
inline double __longlong_as_double(long long bits) { return __builtin_bit_cast(double, bits); }
inline long long __double_as_longlong(double value) { return __builtin_bit_cast(long long, value); }
inline int __float2int_rn(float value) { return static_cast<int>(std::nearbyint(value)); }

inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline int __ffs(int value) { return __builtin_ffs(value); }
inline int __clz(int value) { return value == 0 ? 32 : __builtin_clz(static_cast<unsigned>(value)); }
inline int __clzll(long long value) { return value == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(value)); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}

template <typename T>
constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <typename T>
constexpr T max(T a, T b) {
  return a < b ? b : a;
}

// Four bytes at a time.
inline int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 32; i += 8) c += static_cast<int8_t>(a >> i) * static_cast<int8_t>(b >> i);
  return c;
}
inline unsigned __vadd4(unsigned a, unsigned b) {
  return ((a & 0x7f7f7f7fu) + (b & 0x7f7f7f7fu)) ^ ((a ^ b) & 0x80808080u);
}
inline unsigned __vsub4(unsigned a, unsigned b) {
  return ((a | 0x80808080u) - (b & 0x7f7f7f7fu)) ^ ((a ^ ~b) & 0x80808080u);
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {  // with selectors 0 to 7
  const uint64_t both = uint64_t{b} << 32 | a;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) result |= static_cast<unsigned>(both >> (selector >> 4 * i & 7) * 8 & 0xff) << 8 * i;
  return result;
}

// --- Loads and stores with a hint for caches ---

template <typename T>
T __ldg(const T* from) {
  return *from;
}
template <typename T>
T __ldcs(const T* from) {
  return *from;
}
template <typename T>
T __ldcg(const T* from) {
  return *from;
}
template <typename T>
void __stcs(T* to, T value) {
  *to = value;
}
template <typename T>
void __stcg(T* to, T value) {
  *to = value;
}

#include "common/kernels/cuda/emulated/atomics.h"
#include "common/kernels/cuda/emulated/warp.h"

#endif  // KEDGE_COMMON_KERNELS_CUDA_EMULATED_STAND_IN_CUDA_RUNTIME_H_
