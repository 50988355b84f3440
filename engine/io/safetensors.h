// Safetensors files: named tensors in one file, for checkpoints and weights; the reader trusts nothing in the file.
//
// Source: the format description of huggingface/safetensors: 8 bytes of header length (little-endian), a JSON object
// {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {text: text}}, then the data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/file.h"

namespace lra::io {

inline constexpr size_t kSafetensorsLengthBytes = 8;  // of the header's length, with which a file begins

enum class SafetensorsType { kF32, kF64, kI64, kU64, kU8 };

/// Bytes of one element.
size_t element_bytes(SafetensorsType type);

/// The format's own name: "F32", ….
std::string_view type_name(SafetensorsType type);

/// The SafetensorsType of a C++ type.
template <class T>
struct SafetensorsTypeOf;
// clang-format off
template <> struct SafetensorsTypeOf<float>    { static constexpr SafetensorsType value = SafetensorsType::kF32; };
template <> struct SafetensorsTypeOf<double>   { static constexpr SafetensorsType value = SafetensorsType::kF64; };
template <> struct SafetensorsTypeOf<int64_t>  { static constexpr SafetensorsType value = SafetensorsType::kI64; };
template <> struct SafetensorsTypeOf<uint64_t> { static constexpr SafetensorsType value = SafetensorsType::kU64; };
template <> struct SafetensorsTypeOf<uint8_t>  { static constexpr SafetensorsType value = SafetensorsType::kU8; };
// clang-format on

/// One tensor; `data` is a view (of the caller's memory when writing, of the mapped file when reading, where it is
/// aligned to its element only if the writer took care, as ours does: use SafetensorsFile::values to be safe).
struct SafetensorsTensor {
  std::string name;
  SafetensorsType type = SafetensorsType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
};

/// Describes values in memory as a tensor to write.
template <class T>
SafetensorsTensor make_tensor(std::string name, std::vector<int64_t> shape, std::span<const T> values) {
  return {std::move(name), SafetensorsTypeOf<T>::value, std::move(shape), std::as_bytes(values)};
}

/// Writes the file atomically. Data start at a multiple of 64 bytes, and wide types come first, so that every element
/// is aligned; otherwise the order given is kept, and equal input gives equal bytes.
/// Throws: ResourceError; UsageError for a name that is repeated, empty, `__metadata__` or not UTF-8.
void write_safetensors(const std::filesystem::path& path, std::span<const SafetensorsTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// A file mapped read-only; views stay valid as long as this object.
class SafetensorsFile {
 public:
  /// Throws: DataError naming the file (and the tensor) for a header that is too large, not JSON, repeats a name or has
  /// other keys; offsets that overlap, leave holes, disagree with the shape or with the end of the file; other types.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// In the order of the data in the file.
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }

  /// nullptr when there is no such tensor.
  const SafetensorsTensor* find(std::string_view name) const;

  /// Throws: DataError listing near matches when there is no such tensor.
  const SafetensorsTensor& at(std::string_view name) const;

  /// A copy of the elements. Throws: DataError when the tensor is missing or of another type.
  template <class T>
  std::vector<T> values(std::string_view name) const {
    const SafetensorsTensor& tensor = require(name, SafetensorsTypeOf<T>::value);
    std::vector<T> copy(tensor.data.size() / sizeof(T));
    copy_bytes(tensor.data, std::as_writable_bytes(std::span<T>(copy)));
    return copy;
  }

 private:
  const SafetensorsTensor& require(std::string_view name, SafetensorsType type) const;
  static void copy_bytes(std::span<const std::byte> from, std::span<std::byte> to);

  MappedFile file_;
  std::map<std::string, std::string> metadata_;
  std::vector<SafetensorsTensor> tensors_;
};

}  // namespace lra::io
