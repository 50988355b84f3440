// Walking the rows (last axis) of strided views, with broadcasting.
#pragma once

#include <array>

#include "engine/tensor.h"

namespace lra::engine {

/// Index of a row: one entry for each axis but the last, aligned at the end of the shape.
using RowIndex = std::array<int64_t, kMaxRank - 1>;

/// Calls f(RowIndex) for each row of `shape` in row-major order.
template <class F>
void for_each_row(const Shape& shape, F&& f) {
  std::array<int64_t, kMaxRank - 1> extents{1, 1, 1};
  for (int axis = 0; axis + 1 < shape.rank(); ++axis)
    extents[static_cast<size_t>(axis + kMaxRank - shape.rank())] = shape[axis];
  RowIndex at{};
  for (at[0] = 0; at[0] < extents[0]; ++at[0])
    for (at[1] = 0; at[1] < extents[1]; ++at[1])
      for (at[2] = 0; at[2] < extents[2]; ++at[2]) f(at);
}

/// Rows of a view seen under a shape that it broadcasts to: repeated axes have stride 0.
class BroadcastRows {
 public:
  BroadcastRows(const View& view, const Shape& shape) : base_(static_cast<std::byte*>(view.data)) {
    const Shape& own = view.shape();
    const auto element = static_cast<int64_t>(bytes_of(view.dtype));
    for (int back = 2; back <= own.rank(); ++back) {
      const bool repeated = own[-back] == 1 && shape[-back] != 1;
      strides_[static_cast<size_t>(kMaxRank - back)] = repeated ? 0 : view.stride(-back) * element;
    }
    const bool one = own.rank() == 0 || own[-1] == 1;
    inner_stride_ = one && shape.rank() > 0 && shape[-1] != 1 ? 0 : 1;
  }

  template <class T>
  T* row(const RowIndex& at) const {
    return reinterpret_cast<T*>(base_ + at[0] * strides_[0] + at[1] * strides_[1] + at[2] * strides_[2]);
  }
  /// 1, or 0 where the last axis is repeated.
  int64_t inner_stride() const { return inner_stride_; }

 private:
  std::byte* base_;
  std::array<int64_t, kMaxRank - 1> strides_{};
  int64_t inner_stride_ = 1;
};

}  // namespace lra::engine
