// NumPy's .npy arrays: a memory-mapped reader that trusts nothing in the file, and writers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/file.h"

namespace lra::io {

/// The element types that are read and written; little-endian.
enum class NpyType { kBool, kUint8, kUint16, kUint32, kUint64, kInt32, kInt64, kFloat32, kFloat64 };

/// Bytes of one element.
size_t element_bytes(NpyType type);

/// NumPy's own name: "uint8", "float32", ….
std::string_view type_name(NpyType type);

/// The NpyType of a C++ type; bytes of kBool are read as uint8_t.
template <class T>
struct NpyTypeOf;
// clang-format off
template <> struct NpyTypeOf<uint8_t>  { static constexpr NpyType value = NpyType::kUint8; };
template <> struct NpyTypeOf<uint16_t> { static constexpr NpyType value = NpyType::kUint16; };
template <> struct NpyTypeOf<uint32_t> { static constexpr NpyType value = NpyType::kUint32; };
template <> struct NpyTypeOf<uint64_t> { static constexpr NpyType value = NpyType::kUint64; };
template <> struct NpyTypeOf<int32_t>  { static constexpr NpyType value = NpyType::kInt32; };
template <> struct NpyTypeOf<int64_t>  { static constexpr NpyType value = NpyType::kInt64; };
template <> struct NpyTypeOf<float>    { static constexpr NpyType value = NpyType::kFloat32; };
template <> struct NpyTypeOf<double>   { static constexpr NpyType value = NpyType::kFloat64; };
// clang-format on

/// "(3, 4)", "(5,)" or "()", as NumPy prints a shape.
std::string shape_text(std::span<const int64_t> shape);

/// One array of a .npy file, C order, mapped read-only; views stay valid as long as this object.
class NpyArray {
 public:
  NpyArray() = default;

  /// Reads format versions 1.0, 2.0 and 3.0. Throws: DataError naming the file when it is missing, truncated, longer
  /// than its shape says, in Fortran order, big-endian, or of a type outside NpyType.
  explicit NpyArray(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  NpyType type() const { return type_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t elements() const { return elements_; }
  std::span<const std::byte> bytes() const { return bytes_; }

  /// The elements in C order. Throws: DataError when the file holds another type.
  template <class T>
  std::span<const T> as() const {
    require_type(NpyTypeOf<T>::value);
    return {reinterpret_cast<const T*>(bytes_.data()), static_cast<size_t>(elements_)};
  }

  /// Throws: DataError unless the type is `expected` (a kBool array may be read as kUint8) …
  void require_type(NpyType expected) const;
  /// … and unless the array has `dimensions` dimensions.
  void require_dimensions(size_t dimensions) const;

 private:
  MappedFile file_;
  NpyType type_ = NpyType::kUint8;
  std::vector<int64_t> shape_{0};
  int64_t elements_ = 0;
  std::span<const std::byte> bytes_;
  std::unique_ptr<std::byte[]> aligned_copy_;  // only for a file whose header leaves the data misaligned
};

/// Writes a whole array atomically. Throws: ResourceError; UsageError when `path` is a directory.
void write_npy(const std::filesystem::path& path, NpyType type, std::span<const int64_t> shape,
               std::span<const std::byte> bytes);

template <class T>
void write_npy(const std::filesystem::path& path, std::span<const int64_t> shape, std::span<const T> values) {
  write_npy(path, NpyTypeOf<T>::value, shape, std::as_bytes(values));
}

/// Writes an array row by row; the file appears under its name at finish(), complete, or never.
class NpyStreamWriter {
 public:
  /// The shape is [rows, row_shape...]. Without `rows` the header is corrected at finish() to what was appended.
  NpyStreamWriter(const std::filesystem::path& path, NpyType type, std::vector<int64_t> row_shape = {},
                  std::optional<int64_t> rows = std::nullopt);

  /// Appends elements in C order; a call need not end at a row's end. Throws: ResourceError.
  template <class T>
  void append(std::span<const T> values) {
    append_bytes(NpyTypeOf<T>::value, std::as_bytes(values));
  }

  /// Syncs and renames. It is a programmer's mistake to end inside a row or at another number of rows than declared.
  void finish();

 private:
  void append_bytes(NpyType type, std::span<const std::byte> bytes);
  void flush();

  AtomicFile file_;
  NpyType type_;
  std::vector<int64_t> row_shape_;
  std::optional<int64_t> rows_;
  uint64_t header_bytes_ = 0;
  uint64_t appended_bytes_ = 0;
  std::vector<std::byte> buffer_;  // gathers small appends into few large writes
};

}  // namespace lra::io
