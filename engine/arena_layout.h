// Places buffers with lifetimes into one block of memory.
#pragma once

#include <cstdint>
#include <vector>

namespace lra::engine {

/// A buffer that is alive from step `first` to step `last`, both included.
struct BufferLife {
  int64_t bytes = 0;
  int64_t first = -1;  // -1: never used
  int64_t last = -1;
  int64_t offset = 0;  // result, a multiple of 64
};

/// Assigns offsets so that buffers alive at the same step do not overlap, largest first into the lowest gap that fits
/// (greedy by size, Pisarchyk and Lee 2020). Returns the bytes of the whole block.
int64_t lay_out(std::vector<BufferLife>& buffers);

}  // namespace lra::engine
