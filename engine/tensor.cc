#include "engine/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/errors.h"

namespace lra::engine {

size_t bytes_of(Dtype dtype) { return dtype == Dtype::f64 ? 8 : 4; }

std::string to_string(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return "f32";
    case Dtype::f64:
      return "f64";
    case Dtype::i32:
      return "i32";
  }
  return "?";
}

Shape::Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
  LRA_CHECK(dims.size() <= kMaxRank, fmt::format("a tensor has at most {} axes, not {}", kMaxRank, dims.size()));
  std::copy(dims.begin(), dims.end(), dims_.begin());
}

int64_t Shape::elements() const {
  int64_t product = 1;
  for (int axis = 0; axis < rank_; ++axis) product *= (*this)[axis];
  return product;
}

bool Shape::operator==(const Shape& other) const {
  return rank_ == other.rank_ && std::equal(dims_.begin(), dims_.begin() + rank_, other.dims_.begin());
}

std::string Shape::to_string() const {
  return fmt::format("[{}]", fmt::join(dims_.begin(), dims_.begin() + rank_, ", "));
}

Layout Layout::contiguous(const Shape& shape) {
  Layout layout{.shape = shape};
  int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    layout.strides[static_cast<size_t>(axis)] = stride;
    stride *= shape[axis];
  }
  return layout;
}

bool Layout::is_contiguous() const {
  int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    if (shape[axis] != 1 && strides[static_cast<size_t>(axis)] != stride) return false;
    stride *= shape[axis];
  }
  return true;
}

bool Layout::has_unit_rows() const {
  return shape.rank() == 0 || shape[-1] == 1 || strides[static_cast<size_t>(shape.rank() - 1)] == 1;
}

}  // namespace lra::engine
