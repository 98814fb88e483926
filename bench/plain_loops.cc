// A loop must do nothing but its instruction: an empty asm statement after each one keeps the compiler from joining
// sums or leaving work out, and costs nothing. AMX is written as assembly throughout: gcc 12's intrinsics do not say
// what they change.
//
// Tested by limits_test.cc.
#include "bench/plain_loops.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "common/kernels/cpu/kernels.h"

namespace kedge {
namespace {

bool Always() { return true; }

constexpr int kSums = 12;  // under way at once: two units with a latency of four to five cycles need eight to ten

void PlainInt8(uint64_t rounds) {
  int32_t sums[kSums] = {};
  for (uint64_t round = 0; round < rounds; ++round) {
    for (int32_t& sum : sums) {
      int8_t a = static_cast<int8_t>(round), b = 3;
      asm volatile("" : "+r"(a), "+r"(b));
      sum += int32_t{a} * b;
      asm volatile("" : "+r"(sum));
    }
  }
}

void PlainFloat(uint64_t rounds) {
  float sums[kSums] = {};
  for (uint64_t round = 0; round < rounds; ++round) {
    for (float& sum : sums) {
      float a = 1.5f;
      asm volatile("" : "+m"(a));
      sum = sum * 0.5f + a;
      asm volatile("" : "+m"(sum));
    }
  }
}

#if defined(__x86_64__)

#define KEDGE_KEEP(sum) asm volatile("" : "+v"(sum))

bool HasAvx512Vnni() { return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512f"); }
bool HasAvx512() { return __builtin_cpu_supports("avx512f"); }
bool HasAvx2() { return __builtin_cpu_supports("avx2"); }
bool HasFma() { return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2"); }

__attribute__((target("avx512f,avx512vnni"))) void Avx512VnniInt8(uint64_t rounds) {
  const __m512i a = _mm512_set1_epi8(2), b = _mm512_set1_epi8(3);
  __m512i sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_set1_epi32(i);
  for (uint64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) {
      sums[i] = _mm512_dpbusd_epi32(sums[i], a, b);
      KEDGE_KEEP(sums[i]);
    }
  }
}

__attribute__((target("avx2"))) void Avx2Int8(uint64_t rounds) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i a = _mm256_set1_epi8(2), b = _mm256_set1_epi8(3);
  __m256i sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = _mm256_set1_epi32(i);
  for (uint64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) {
      asm volatile("" : "+x"(a), "+x"(b));  // else one product would serve for all sums
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
      asm volatile("" : "+x"(sums[i]));
    }
  }
}

__attribute__((target("avx512f"))) void Avx512Float(uint64_t rounds) {
  const __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(1.5f);
  __m512 sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  for (uint64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) {
      sums[i] = _mm512_fmadd_ps(sums[i], a, b);
      KEDGE_KEEP(sums[i]);
    }
  }
}

__attribute__((target("avx2,fma"))) void FmaFloat(uint64_t rounds) {
  const __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(1.5f);
  __m256 sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = _mm256_set1_ps(static_cast<float>(i));
  for (uint64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) {
      sums[i] = _mm256_fmadd_ps(sums[i], a, b);
      asm volatile("" : "+x"(sums[i]));
    }
  }
}

// Tiles 0 to 3 are sums of 16 x 16, 4 and 5 the left operands of 16 x 64 bytes, 6 and 7 the right ones: each product of
// two tiles is 16 * 16 * 64 multiply-adds.
void AmxInt8(uint64_t rounds) {
  struct alignas(64) Configuration {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  static const Configuration configuration;
  asm volatile(
      "ldtilecfg %0\n\t"
      "tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3\n\t"
      "tilezero %%tmm4\n\ttilezero %%tmm5\n\ttilezero %%tmm6\n\ttilezero %%tmm7\n\t" ::"m"(configuration)
      : "memory");
  for (uint64_t round = 0; round < rounds; ++round) {
    asm volatile(
        "tdpbssd %%tmm6, %%tmm4, %%tmm0\n\t"
        "tdpbssd %%tmm7, %%tmm4, %%tmm1\n\t"
        "tdpbssd %%tmm6, %%tmm5, %%tmm2\n\t"
        "tdpbssd %%tmm7, %%tmm5, %%tmm3\n\t" ::
            : "memory");
  }
  asm volatile("tilerelease" ::: "memory");
}

// From four places at once: more of the memory's channels and of what fetches ahead are at work than for one.
__attribute__((target("avx512f"))) uint64_t ReadAvx512(const uint8_t* data, size_t bytes) {
  constexpr int kPlaces = 4;
  const size_t part = bytes / kPlaces;
  __m512i sums[kPlaces] = {};
  for (size_t i = 0; i < part; i += 128) {
    for (int j = 0; j < kPlaces; ++j) {
      const uint8_t* place = data + j * part + i;
      sums[j] = _mm512_or_si512(sums[j], _mm512_or_si512(_mm512_load_si512(place), _mm512_load_si512(place + 64)));
    }
  }
  alignas(64) uint64_t words[8];
  _mm512_store_si512(words, _mm512_or_si512(_mm512_or_si512(sums[0], sums[1]), _mm512_or_si512(sums[2], sums[3])));
  uint64_t sum = 0;
  for (uint64_t word : words) sum |= word;
  return sum;
}

#endif  // __x86_64__

uint64_t ReadPlain(const uint8_t* data, size_t bytes) {
  const uint64_t* words = reinterpret_cast<const uint64_t*>(data);
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 8 <= bytes / 8; i += 8) {
    for (int j = 0; j < 8; ++j) sums[j] |= words[i + j];
  }
  uint64_t sum = 0;
  for (uint64_t part : sums) sum |= part;
  return sum;
}

}  // namespace

const std::vector<MultiplyLoop>& Int8Loops() {
  static const std::vector<MultiplyLoop> loops = {
#if defined(__x86_64__)
    {"amx-int8", [] { return IsAvailable(InstructionSet::kAmxInt8); }, AmxInt8, 4 * 16 * 16 * 64},
    {"avx512-vnni", HasAvx512Vnni, Avx512VnniInt8, kSums * 64},
    {"avx2", HasAvx2, Avx2Int8, kSums * 32},
#endif
    {"plain", Always, PlainInt8, kSums},
  };
  return loops;
}

const std::vector<MultiplyLoop>& FloatLoops() {
  static const std::vector<MultiplyLoop> loops = {
#if defined(__x86_64__)
    {"avx512", HasAvx512, Avx512Float, kSums * 16},
    {"fma", HasFma, FmaFloat, kSums * 8},
#endif
    {"plain", Always, PlainFloat, kSums},
  };
  return loops;
}

uint64_t ReadOnce(const uint8_t* data, size_t bytes) {
#if defined(__x86_64__)
  static const bool has_avx512 = HasAvx512();
  if (has_avx512) return ReadAvx512(data, bytes);
#endif
  return ReadPlain(data, bytes);
}

}  // namespace kedge
