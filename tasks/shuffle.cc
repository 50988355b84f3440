#include "tasks/shuffle.h"

#include <cstddef>
#include <numeric>
#include <utility>

#include "tasks/philox_stream.h"

namespace lra::tasks {

std::vector<int64_t> shuffled_order(uint64_t seed, int64_t count) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  PhiloxStream random(seed, StreamPurpose::kShuffle, 0);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace lra::tasks
