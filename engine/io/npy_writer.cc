// Writers of .npy files (the reader is in npy.cc).
#include <fmt/format.h>

#include "engine/errors.h"
#include "engine/io/npy.h"
#include "engine/io/npy_header.h"

namespace lra::io {
namespace {

constexpr size_t kBufferBytes = size_t{4} << 20;

std::vector<int64_t> with_rows(int64_t rows, const std::vector<int64_t>& row_shape) {
  std::vector<int64_t> shape{rows};
  shape.insert(shape.end(), row_shape.begin(), row_shape.end());
  return shape;
}

}  // namespace

void write_npy(const std::filesystem::path& path, NpyType type, std::span<const int64_t> shape,
               std::span<const std::byte> bytes) {
  const int64_t needed_bytes = checked_bytes(shape, element_bytes(type), path.string());
  LRA_CHECK(bytes.size() == static_cast<uint64_t>(needed_bytes),
            fmt::format("{} bytes given for the shape {}", bytes.size(), shape_text(shape)));
  AtomicFile file(path);
  file.write(encode_npy_header(type, shape));
  file.write(bytes);
  file.commit();
}

NpyStreamWriter::NpyStreamWriter(const std::filesystem::path& path, NpyType type, std::vector<int64_t> row_shape,
                                 std::optional<int64_t> rows)
    : file_(path), type_(type), row_shape_(std::move(row_shape)), rows_(rows) {
  const std::string header = encode_npy_header(type_, with_rows(rows_.value_or(0), row_shape_), !rows_.has_value());
  header_bytes_ = header.size();
  file_.write(header);
}

void NpyStreamWriter::append_bytes(NpyType type, std::span<const std::byte> bytes) {
  LRA_CHECK(type == type_, fmt::format("{} appended to an array of {}", type_name(type), type_name(type_)));
  appended_bytes_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() >= kBufferBytes) {
    file_.write(bytes);
  } else {
    buffer_.reserve(kBufferBytes);
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
}

void NpyStreamWriter::flush() {
  file_.write(buffer_);
  buffer_.clear();
}

void NpyStreamWriter::finish() {
  flush();
  const int64_t row_bytes = checked_bytes(row_shape_, element_bytes(type_), file_.path().string());
  LRA_CHECK(row_bytes > 0, "a row of a streamed array may not be empty");
  const int64_t rows = static_cast<int64_t>(appended_bytes_) / row_bytes;
  LRA_CHECK(rows * row_bytes == static_cast<int64_t>(appended_bytes_), "the array ends inside a row");
  LRA_CHECK(!rows_ || *rows_ == rows, fmt::format("{} rows declared, {} appended", rows_.value_or(0), rows));
  if (!rows_) {
    const std::string header = encode_npy_header(type_, with_rows(rows, row_shape_), true);
    LRA_CHECK(header.size() == header_bytes_, "the header grew");
    file_.write_at(0, std::as_bytes(std::span(header)));
  }
  file_.commit();
}

}  // namespace lra::io
