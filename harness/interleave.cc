#include "harness/interleave.h"

#include <algorithm>
#include <utility>

#include "engine/random.h"

namespace lra::harness {

std::vector<Turn> interleave(std::span<const int64_t> parts_needed, uint64_t seed) {
  int64_t rounds = 0;
  for (const int64_t parts : parts_needed)
    if (parts > 0) rounds = rounds == 0 ? parts : std::min(rounds, parts);
  std::vector<size_t> order(parts_needed.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  engine::Stream stream(seed, engine::Purpose::shuffle, "bench");
  std::vector<Turn> turns;
  for (int64_t round = 0; round < rounds; ++round) {
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[stream.below(i)]);
    for (const size_t candidate : order) {
      const int64_t needed = parts_needed[candidate];
      const int64_t parts = needed * (round + 1) / rounds - needed * round / rounds;
      if (parts > 0) turns.push_back({candidate, parts});
    }
  }
  return turns;
}

}  // namespace lra::harness
