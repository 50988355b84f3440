// Element types, shapes, and strided windows on memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace lra::engine {

enum class Dtype : uint8_t { f32, f64, i32 };

size_t bytes_of(Dtype dtype);
std::string to_string(Dtype dtype);

inline constexpr int kMaxRank = 4;

/// The extents of a tensor of rank 0 (one element) to 4.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  /// Extent of an axis; negative axes count from the end.
  int64_t operator[](int axis) const { return dims_[static_cast<size_t>(axis < 0 ? axis + rank_ : axis)]; }
  void set(int axis, int64_t extent) { dims_[static_cast<size_t>(axis < 0 ? axis + rank_ : axis)] = extent; }
  int64_t elements() const;
  bool operator==(const Shape& other) const;
  std::string to_string() const;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

/// What a symbolic value is, before it has memory.
struct Type {
  Dtype dtype = Dtype::f32;
  Shape shape;
  bool operator==(const Type&) const = default;
};

/// Shape and strides (in elements) of a window on a buffer that starts `offset` elements in.
struct Layout {
  Shape shape;
  std::array<int64_t, kMaxRank> strides{};
  int64_t offset = 0;

  static Layout contiguous(const Shape& shape);
  bool is_contiguous() const;
  /// True when elements of the last axis are neighbours: what every kernel may assume of its arguments.
  bool has_unit_rows() const;
};

/// A strided window on memory that somebody else owns.
struct View {
  void* data = nullptr;  // address of element (0, 0, …)
  Dtype dtype = Dtype::f32;
  Layout layout;  // its offset is already in `data`

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  const Shape& shape() const { return layout.shape; }
  int64_t stride(int axis) const {
    return layout.strides[static_cast<size_t>(axis < 0 ? axis + shape().rank() : axis)];
  }
};

}  // namespace lra::engine
