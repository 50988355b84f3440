// Matrices and stacks of matrices seen alike: planes of rows with unit innermost stride.
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <type_traits>

#include "engine/errors.h"
#include "engine/graph.h"
#include "engine/tensor.h"

namespace lra::engine {

/// A view of [columns], [rows, columns] or [planes, rows, columns] as three axes.
template <class T>
struct Planes {
  explicit Planes(const View& view) : data(view.as<std::remove_const_t<T>>()) {
    const int rank = view.shape().rank();
    columns = view.shape()[-1];
    if (rank >= 2) rows = view.shape()[-2], row_stride = view.stride(-2);
    if (rank >= 3) planes = view.shape()[-3], plane_stride = view.stride(-3);
  }

  T* row(int64_t plane, int64_t index) const { return data + plane * plane_stride + index * row_stride; }

  T* data;
  int64_t planes = 1;
  int64_t rows = 1;
  int64_t columns = 1;
  int64_t plane_stride = 0;
  int64_t row_stride = 0;
};

/// Throws std::logic_error unless x is a floating-point [rows, columns] or [planes, rows, columns].
inline void check_planes(std::string_view op, Var x) {
  LRA_CHECK(x.dtype() != Dtype::i32 && (x.shape().rank() == 2 || x.shape().rank() == 3),
            fmt::format("[{}] x is {} {}, not [rows, columns] or [planes, rows, columns]", op, to_string(x.dtype()),
                        x.shape().to_string()));
}

}  // namespace lra::engine
