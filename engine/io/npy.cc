#include "engine/io/npy.h"

#include <fmt/format.h>

#include <cstring>

#include "engine/errors.h"
#include "engine/io/npy_header.h"

namespace lra::io {

NpyArray::NpyArray(const std::filesystem::path& path) : file_(path) {
  const NpyHeader header = parse_npy_header(file_.bytes(), path.string());
  type_ = header.type;
  shape_ = header.shape;
  const int64_t needed_bytes = checked_bytes(shape_, element_bytes(type_), path.string());
  const std::span<const std::byte> data = file_.bytes().subspan(header.data_offset_bytes);
  if (data.size() != static_cast<uint64_t>(needed_bytes)) {
    throw DataError(
        fmt::format("`{}` is {}: {} of shape {} takes {} bytes after the header, the file has {}", path.string(),
                    data.size() < static_cast<uint64_t>(needed_bytes) ? "truncated" : "too long", type_name(type_),
                    shape_text(shape_), needed_bytes, data.size()),
        "copy or generate the file again");
  }
  elements_ = needed_bytes / static_cast<int64_t>(element_bytes(type_));
  bytes_ = data;
  if (reinterpret_cast<uintptr_t>(data.data()) % element_bytes(type_) != 0) {
    aligned_copy_ = std::make_unique<std::byte[]>(data.size());
    std::memcpy(aligned_copy_.get(), data.data(), data.size());
    bytes_ = {aligned_copy_.get(), data.size()};
  }
}

void NpyArray::require_type(NpyType expected) const {
  if (type_ == expected || (type_ == NpyType::kBool && expected == NpyType::kUint8)) return;
  throw DataError(
      fmt::format("`{}` holds {}, but {} is needed", path().string(), type_name(type_), type_name(expected)),
      fmt::format("convert it with array.astype('{}')", type_name(expected)));
}

void NpyArray::require_dimensions(size_t dimensions) const {
  if (shape_.size() == dimensions) return;
  throw DataError(fmt::format("`{}` has the shape {}, but {} dimension{} needed", path().string(), shape_text(shape_),
                              dimensions, dimensions == 1 ? " is" : "s are"),
                  "reshape the array before saving it");
}

}  // namespace lra::io
