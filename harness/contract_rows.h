// Rows of the contract's arrays, which are [planes, n, width] or [n, width].
#pragma once

#include <cstdint>
#include <vector>

#include "harness/attend.h"

namespace lra::harness {

/// The row of element `i` of values of such a shape.
inline int64_t row_of_element(const engine::Shape& shape, size_t i) {
  return static_cast<int64_t>(i) / shape[-1] % shape[-2];
}

/// The elements of the rows for which `is_wanted(row)`, in their order.
template <class IsWanted>
std::vector<double> rows_where(const HostArray& array, IsWanted&& is_wanted) {
  std::vector<double> rows;
  for (size_t i = 0; i < array.values.size(); ++i)
    if (is_wanted(row_of_element(array.shape, i))) rows.push_back(array.values[i]);
  return rows;
}

/// Of real tokens only: outputs at pads are arbitrary.
inline std::vector<double> real_rows(const HostArray& array, int64_t real) {
  return rows_where(array, [=](int64_t row) { return row < real; });
}
inline std::vector<double> pad_rows(const HostArray& array, int64_t real) {
  return rows_where(array, [=](int64_t row) { return row >= real; });
}
inline std::vector<double> unmasked_rows(const HostArray& array, const std::vector<double>& mask) {
  return rows_where(array, [&](int64_t row) { return mask[static_cast<size_t>(row)] != 0; });
}

/// The rows of these numbers, in this order.
inline HostArray picked_rows(const HostArray& array, const std::vector<int32_t>& rows) {
  const int64_t n = array.shape[-2], width = array.shape[-1];
  HostArray picked{.shape = array.shape, .values = {}};
  picked.shape.set(-2, static_cast<int64_t>(rows.size()));
  for (int64_t plane = 0; plane < array.shape.elements() / (n * width); ++plane)
    for (const int32_t row : rows) {
      const auto begin = array.values.begin() + (plane * n + row) * width;
      picked.values.insert(picked.values.end(), begin, begin + width);
    }
  return picked;
}

/// Other content for the rows from `real` on.
inline void scribble_pads(HostArray& array, int64_t real) {
  for (size_t i = 0; i < array.values.size(); ++i)
    if (row_of_element(array.shape, i) >= real) array.values[i] = 3.5 - array.values[i];
}

}  // namespace lra::harness
