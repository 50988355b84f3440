#include "engine/random.h"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>

namespace lra::engine {
namespace {

/// The finalizer of SplitMix64 (Steele et al. 2014): a bijection that spreads every input bit over the word.
uint64_t spread(uint64_t word) {
  word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9ULL;
  word = (word ^ (word >> 27)) * 0x94D049BB133111EBULL;
  return word ^ (word >> 31);
}

constexpr uint64_t kGoldenRatio = 0x9E3779B97F4A7C15ULL;
constexpr uint64_t kPi = 0x243F6A8885A308D3ULL;

}  // namespace

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key, int rounds) {
  const philox4x32_ctr_t block = philox4x32_R(static_cast<unsigned int>(rounds),
                                              {{counter[0], counter[1], counter[2], counter[3]}}, {{key[0], key[1]}});
  return {block.v[0], block.v[1], block.v[2], block.v[3]};
}

uint64_t mix_key(std::initializer_list<uint64_t> words) {
  // Another constant than the words', so that no small word cancels the start.
  uint64_t key = spread(kPi + words.size());
  // Spreading the word before and the key after it makes the mix depend on the order of the words.
  for (const uint64_t word : words) key = spread((key ^ spread(word + kGoldenRatio)) + kGoldenRatio);
  return key;
}

uint64_t hash_name(std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char character : name) hash = (hash ^ static_cast<unsigned char>(character)) * 0x100000001B3ULL;
  return hash;
}

Stream::Stream(uint64_t seed, Purpose purpose, std::string_view name)
    : key_(mix_key({seed, static_cast<uint64_t>(purpose), hash_name(name)})) {}

uint32_t Stream::next_u32() {
  if (used_ == 4) {
    words_ = philox({static_cast<uint32_t>(block_), static_cast<uint32_t>(block_ >> 32), 0, 0},
                    {static_cast<uint32_t>(key_), static_cast<uint32_t>(key_ >> 32)});
    ++block_;
    used_ = 0;
  }
  return words_[static_cast<size_t>(used_++)];
}

double Stream::uniform() {
  const uint64_t high = next_u32() >> 5;
  const uint64_t low = next_u32() >> 6;
  return static_cast<double>(high << 26 | low) * 0x1p-53;
}

uint64_t Stream::below(uint64_t bound) {
  // The draws below 2^64 mod bound are refused: what is left divides evenly into `bound` classes.
  const uint64_t refused = (0 - bound) % bound;
  for (;;) {
    const uint64_t high = next_u32();
    const uint64_t draw = high << 32 | next_u32();
    if (draw >= refused) return draw % bound;
  }
}

double Stream::normal() {
  if (has_spare_normal_) {
    has_spare_normal_ = false;
    return spare_normal_;
  }
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));  // 1 - u lies in (0, 1]
  const double angle = 2 * std::numbers::pi * uniform();
  spare_normal_ = radius * std::sin(angle);
  has_spare_normal_ = true;
  return radius * std::cos(angle);
}

}  // namespace lra::engine
