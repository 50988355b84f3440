#include "engine/arena_layout.h"

#include <algorithm>
#include <numeric>

namespace lra::engine {
namespace {

constexpr int64_t kAlignBytes = 64;

int64_t aligned(int64_t bytes) { return (bytes + kAlignBytes - 1) / kAlignBytes * kAlignBytes; }

}  // namespace

int64_t lay_out(std::vector<BufferLife>& buffers) {
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });

  std::vector<size_t> placed;  // by offset
  int64_t total = 0;
  for (const size_t index : order) {
    BufferLife& buffer = buffers[index];
    if (buffer.first < 0) continue;
    int64_t offset = 0;
    for (const size_t other : placed) {
      const BufferLife& there = buffers[other];
      if (there.last < buffer.first || buffer.last < there.first) continue;
      if (offset + aligned(buffer.bytes) <= there.offset) break;
      offset = std::max(offset, there.offset + aligned(there.bytes));
    }
    buffer.offset = offset;
    total = std::max(total, offset + aligned(buffer.bytes));
    placed.insert(std::upper_bound(placed.begin(), placed.end(), offset,
                                   [&](int64_t at, size_t other) { return at < buffers[other].offset; }),
                  index);
  }
  return total;
}

}  // namespace lra::engine
