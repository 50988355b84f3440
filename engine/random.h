// Named, counter-based random streams: a draw is a pure function of its key, never of the order of drawing.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace lra::engine {

/// What a stream is for. Streams of different purposes never overlap.
enum class Purpose : uint32_t { init = 1, dropout = 2, shuffle = 3, data = 4, features = 5, split = 6 };

/// One Philox4x32 block (Salmon et al. 2011): 128 random bits for a counter under a key. 10 rounds are that paper's
/// default; 7 are the fewest that pass all of its tests.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key, int rounds = 10);

/// Mixes any number of words into the 64-bit key of a stream.
uint64_t mix_key(std::initializer_list<uint64_t> words);

/// A 64-bit hash of a name (FNV-1a), to key a stream by a parameter's name.
uint64_t hash_name(std::string_view name);

/// A sequence of draws from one stream.
class Stream {
 public:
  explicit Stream(uint64_t key) : key_(key) {}
  /// The stream of `seed` for a purpose, told apart by a name (for example a parameter's).
  Stream(uint64_t seed, Purpose purpose, std::string_view name = "");

  uint32_t next_u32();
  /// Uniform in [0, 1) with 53 bits.
  double uniform();
  /// Uniform integer in [0, bound), without bias. `bound` > 0.
  uint64_t below(uint64_t bound);
  /// Standard normal (Box-Muller).
  double normal();

 private:
  uint64_t key_;
  uint64_t block_ = 0;
  std::array<uint32_t, 4> words_{};
  int used_ = 4;
  double spare_normal_ = 0;
  bool has_spare_normal_ = false;
};

/// What the draws inside one execution of a plan are keyed by, besides the place where they happen.
struct ExampleKeys {
  uint64_t seed = 0;
  uint32_t step = 0;
  uint32_t example = 0;  // index in the data set, so that a mask follows its example into any lane
};

}  // namespace lra::engine
