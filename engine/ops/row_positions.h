// Where the rows of a sequence stand, for operations that mind: one after the other, or as an input lists them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/op.h"

namespace lra::engine {

/// Where the rows of a block stand in their sequence, from 0: one after the other, or as listed.
struct RowPositions {
  int64_t first = 0;
  const int32_t* listed = nullptr;  // of the first row on; null: first, first + 1, ...

  int64_t operator[](int64_t row) const { return listed == nullptr ? first + row : listed[row]; }
  /// Of the rows from `begin` on.
  RowPositions from(int64_t begin) const {
    return {.first = first + begin, .listed = listed == nullptr ? nullptr : listed + begin};
  }
};

/// Of the rows that a kernel is given: as its input `index` lists them, if there is one.
inline RowPositions positions_among(const KernelArguments& arguments, size_t index) {
  if (arguments.inputs.size() <= index) return {.first = arguments.row_begin};
  return {.listed = arguments.inputs[index].as<const int32_t>()};
}

}  // namespace lra::engine
