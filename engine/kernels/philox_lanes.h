// Philox4x32 for 16 neighbouring counters at once, with the rounds that dropout uses.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace lra::engine {

inline constexpr int64_t kPhiloxLanes = 16;

/// Word w of lane l is words[w][l].
struct alignas(64) PhiloxLanes {
  uint32_t words[4][kPhiloxLanes];
};

// Multipliers and Weyl increments of Philox4x32 (Salmon et al. 2011, Random123).
inline constexpr uint32_t kPhiloxMultiplier0 = 0xD2511F53;
inline constexpr uint32_t kPhiloxMultiplier1 = 0xCD9E8D57;
inline constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9;
inline constexpr uint32_t kPhiloxWeyl1 = 0xBB67AE85;
inline constexpr int kDropoutRounds = 7;  // the fewest that pass every test of that paper (its table 2)

/// Lane l gets the block of counter (counter0 + l, counter1, counter2, counter3). For any processor.
inline void philox_lanes_portable(uint64_t key, uint32_t counter0, uint32_t counter1, uint32_t counter2,
                                  uint32_t counter3, PhiloxLanes& block) {
#pragma omp simd
  for (int64_t l = 0; l < kPhiloxLanes; ++l) {
    uint32_t x0 = counter0 + static_cast<uint32_t>(l);
    uint32_t x1 = counter1;
    uint32_t x2 = counter2;
    uint32_t x3 = counter3;
    auto key0 = static_cast<uint32_t>(key);
    auto key1 = static_cast<uint32_t>(key >> 32);
    for (int round = 0; round < kDropoutRounds; ++round) {
      const uint64_t product0 = static_cast<uint64_t>(x0) * kPhiloxMultiplier0;
      const uint64_t product1 = static_cast<uint64_t>(x2) * kPhiloxMultiplier1;
      x0 = static_cast<uint32_t>(product1 >> 32) ^ x1 ^ key0;
      x1 = static_cast<uint32_t>(product1);
      x2 = static_cast<uint32_t>(product0 >> 32) ^ x3 ^ key1;
      x3 = static_cast<uint32_t>(product0);
      key0 += kPhiloxWeyl0;
      key1 += kPhiloxWeyl1;
    }
    block.words[0][l] = x0;
    block.words[1][l] = x1;
    block.words[2][l] = x2;
    block.words[3][l] = x3;
  }
}

#ifdef __SSE2__

#if defined(__AVX512F__)
inline constexpr uint64_t kPhiloxVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr uint64_t kPhiloxVectorBytes = 32;
#else
inline constexpr uint64_t kPhiloxVectorBytes = 16;
#endif

/// One vector of 64-bit elements, whose upper halves are ignored.
using PhiloxWords = uint64_t __attribute__((vector_size(kPhiloxVectorBytes)));

/// Products of the lower halves. (With AVX-512 the form with a mask, which is all ones, because GCC 12 warns inside the
/// other.)
inline PhiloxWords multiply_lower_halves(const PhiloxWords& a, uint32_t b) {
  const auto factor = static_cast<int64_t>(b);
#if defined(__AVX512F__)
  return reinterpret_cast<PhiloxWords>(
      _mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(a), _mm512_set1_epi64(factor)));
#elif defined(__AVX2__)
  return reinterpret_cast<PhiloxWords>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), _mm256_set1_epi64x(factor)));
#else
  return reinterpret_cast<PhiloxWords>(_mm_mul_epu32(reinterpret_cast<__m128i>(a), _mm_set1_epi64x(factor)));
#endif
}

/// The same by hand, in vectors of the build's width: even and odd lanes in two vectors, so that a round costs two
/// multiplications a vector and no shuffles. GCC 12 makes vpmullq (three times the work) of the loop above for AVX-512.
inline void philox_lanes(uint64_t key, uint32_t counter0, uint32_t counter1, uint32_t counter2, uint32_t counter3,
                         PhiloxLanes& block) {
  constexpr uint64_t kLower = 0xFFFFFFFF;
  constexpr uint64_t kElements = kPhiloxVectorBytes / sizeof(uint64_t);
  PhiloxWords even_lanes;
  for (uint64_t i = 0; i < kElements; ++i) even_lanes[i] = 2 * i;
  for (uint64_t first = 0; first < kPhiloxLanes; first += 2 * kElements) {
    PhiloxWords x[2][4];
    for (uint64_t odd = 0; odd < 2; ++odd) {
      x[odd][0] = even_lanes + (first + odd + counter0);
      x[odd][1] = PhiloxWords{} + counter1;
      x[odd][2] = PhiloxWords{} + counter2;
      x[odd][3] = PhiloxWords{} + counter3;
    }
    auto key0 = static_cast<uint32_t>(key);
    auto key1 = static_cast<uint32_t>(key >> 32);
    for (int round = 0; round < kDropoutRounds; ++round) {
      for (auto& words : x) {
        const PhiloxWords product0 = multiply_lower_halves(words[0], kPhiloxMultiplier0);
        const PhiloxWords product1 = multiply_lower_halves(words[2], kPhiloxMultiplier1);
        words[0] = (product1 >> 32) ^ words[1] ^ key0;
        words[1] = product1;
        words[2] = (product0 >> 32) ^ words[3] ^ key1;
        words[3] = product0;
      }
      key0 += kPhiloxWeyl0;
      key1 += kPhiloxWeyl1;
    }
    for (int word = 0; word < 4; ++word) {
      const PhiloxWords both = (x[0][word] & kLower) | (x[1][word] << 32);
      std::memcpy(block.words[word] + first, &both, sizeof both);
    }
  }
}

#else

inline void philox_lanes(uint64_t key, uint32_t counter0, uint32_t counter1, uint32_t counter2, uint32_t counter3,
                         PhiloxLanes& block) {
  philox_lanes_portable(key, counter0, counter1, counter2, counter3, block);
}

#endif

}  // namespace lra::engine
