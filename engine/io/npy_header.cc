#include "engine/io/npy_header.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>
#include <optional>

#include "engine/errors.h"

namespace lra::io {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kPreambleBytes = 10;  // magic, two bytes of version, two bytes of length (version 1.0)
constexpr size_t kHeaderAlignmentBytes = 64;
constexpr size_t kMaxDimensions = 32;  // NumPy's own limit
constexpr std::string_view kRewriteHint = "rewrite it with numpy.save(path, numpy.ascontiguousarray(array, '<f4'))";

struct TypeRow {
  NpyType type;
  std::string_view descr;
  std::string_view name;
  size_t bytes;
};

constexpr std::array<TypeRow, 9> kTypes{{
    {NpyType::kBool, "|b1", "bool", 1},
    {NpyType::kUint8, "|u1", "uint8", 1},
    {NpyType::kUint16, "<u2", "uint16", 2},
    {NpyType::kUint32, "<u4", "uint32", 4},
    {NpyType::kUint64, "<u8", "uint64", 8},
    {NpyType::kInt32, "<i4", "int32", 4},
    {NpyType::kInt64, "<i8", "int64", 8},
    {NpyType::kFloat32, "<f4", "float32", 4},
    {NpyType::kFloat64, "<f8", "float64", 8},
}};

const TypeRow& row_of(NpyType type) {
  for (const TypeRow& row : kTypes) {
    if (row.type == type) return row;
  }
  LRA_CHECK(false, "unknown NpyType");
}

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  throw DataError(fmt::format("`{}`: the .npy header {}", name, what), std::string(kRewriteHint));
}

NpyType type_of(std::string descr, const std::string& name) {
  if (descr.starts_with('>')) {
    refuse(name, fmt::format("says big-endian `{}`; only little-endian is read", descr));
  }
  if (descr.starts_with('=') || (descr.ends_with('1') && descr.starts_with('<'))) {
    descr[0] = descr.ends_with('1') ? '|' : '<';
  }
  for (const TypeRow& row : kTypes) {
    if (row.descr == descr) return row.type;
  }
  refuse(name, fmt::format("has the type `{}`; bool, uint8-64, int32, int64, float32 and float64 are read", descr));
}

/// Reads the dictionary; a small subset of Python's literals is enough, since NumPy writes it with repr().
class DictionaryParser {
 public:
  DictionaryParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  void parse(NpyDescription& header) {
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && !has_type_) {
        header.descr = descr();
        has_type_ = true;
      } else if (key == "fortran_order" && !has_order_) {
        order();
        has_order_ = true;
      } else if (key == "shape" && !has_shape_) {
        header.shape = shape();
        has_shape_ = true;
      } else {
        fail(fmt::format("has the unexpected or repeated key `{}`", key));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_blanks();
    if (at_ != text_.size()) fail("has characters after the dictionary");
    if (!has_type_ || !has_order_ || !has_shape_) fail("lacks `descr`, `fortran_order` or `shape`");
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { refuse(name_, fmt::format("{} (character {})", what, at_)); }

  void skip_blanks() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }

  bool accept(char c) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail(fmt::format("should have `{}` here", c));
  }

  bool accept_word(std::string_view word) {
    skip_blanks();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  std::string quoted() {
    skip_blanks();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') fail("should have a quoted string here");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("has an unterminated string");
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }

  std::string descr() {
    skip_blanks();
    if (at_ < text_.size() && text_[at_] == '[') fail("describes a structured type, which is not read");
    return quoted();
  }

  void order() {
    if (accept_word("False")) return;
    if (accept_word("True")) fail("says Fortran order; only C order is read");
    fail("should have True or False here");
  }

  std::vector<int64_t> shape() {
    std::vector<int64_t> dimensions;
    expect('(');
    while (!accept(')')) {
      skip_blanks();
      int64_t value = 0;
      const char* first = text_.data() + at_;
      const auto [end, error] = std::from_chars(first, text_.data() + text_.size(), value);
      if (error != std::errc() || value < 0) fail("should have a dimension between 0 and 2^63 here");
      at_ += static_cast<size_t>(end - first);
      dimensions.push_back(value);
      if (dimensions.size() > kMaxDimensions) fail(fmt::format("has more than {} dimensions", kMaxDimensions));
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return dimensions;
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
  bool has_type_ = false;
  bool has_order_ = false;
  bool has_shape_ = false;
};

/// Version 1.0 has a 16-bit length of the header, 2.0 and 3.0 a 32-bit one.
std::optional<std::string_view> header_text(std::string_view file, int major) {
  const size_t length_bytes = major == 1 ? 2 : 4;
  const size_t start = kMagic.size() + 2 + length_bytes;
  if (file.size() < start) return std::nullopt;
  size_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) {
    length |= static_cast<size_t>(static_cast<unsigned char>(file[kMagic.size() + 2 + i])) << (8 * i);
  }
  if (file.size() - start < length) return std::nullopt;
  return file.substr(start, length);
}

}  // namespace

size_t element_bytes(NpyType type) { return row_of(type).bytes; }

std::string_view type_name(NpyType type) { return row_of(type).name; }

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += fmt::format("{}{}", i > 0 ? ", " : "", shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

NpyDescription parse_npy_description(std::span<const std::byte> bytes, const std::string& name) {
  const std::string_view file(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!file.starts_with(kMagic) || file.size() < kMagic.size() + 2) {
    throw DataError(fmt::format("`{}` is not a .npy file: it does not begin with the bytes \\x93NUMPY", name),
                    "write it with numpy.save, or check the path");
  }
  const int major = static_cast<unsigned char>(file[kMagic.size()]);
  const int minor = static_cast<unsigned char>(file[kMagic.size() + 1]);
  if (major < 1 || major > 3 || minor != 0) {
    throw DataError(fmt::format("`{}` has .npy version {}.{}; 1.0, 2.0 and 3.0 are read", name, major, minor),
                    std::string(kRewriteHint));
  }
  const std::optional<std::string_view> text = header_text(file, major);
  if (!text) {
    throw DataError(fmt::format("`{}` is truncated: its {} bytes end inside the .npy header", name, file.size()),
                    "copy or generate the file again");
  }
  NpyDescription description;
  DictionaryParser(*text, name).parse(description);
  description.data_offset_bytes = static_cast<size_t>(text->data() - file.data()) + text->size();
  return description;
}

NpyHeader parse_npy_header(std::span<const std::byte> bytes, const std::string& name) {
  NpyDescription description = parse_npy_description(bytes, name);
  return {.type = type_of(std::move(description.descr), name),
          .shape = std::move(description.shape),
          .data_offset_bytes = description.data_offset_bytes};
}

std::string encode_npy_header(NpyType type, std::span<const int64_t> shape, bool room_for_rows) {
  std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", row_of(type).descr, shape_text(shape));
  size_t reserved = 0;
  if (room_for_rows) {
    constexpr size_t kMaxDigits = 19;  // of an int64
    reserved = kMaxDigits - fmt::formatted_size("{}", shape[0]);
  }
  const size_t unpadded = kPreambleBytes + dictionary.size() + reserved + 1;  // 1: the line feed at the end
  const size_t total = (unpadded + kHeaderAlignmentBytes - 1) / kHeaderAlignmentBytes * kHeaderAlignmentBytes;
  const size_t length = total - kPreambleBytes;
  dictionary.resize(length - 1, ' ');
  std::string header(kMagic);
  header += '\x01';
  header += '\0';
  header += static_cast<char>(length & 0xff);
  header += static_cast<char>(length >> 8);
  return header + dictionary + '\n';
}

int64_t checked_bytes(std::span<const int64_t> shape, size_t unit_bytes, const std::string& name) {
  int64_t product = static_cast<int64_t>(unit_bytes);
  bool is_empty = false;
  for (const int64_t dimension : shape) is_empty = is_empty || dimension == 0;
  for (const int64_t dimension : shape) {
    if (!is_empty && __builtin_mul_overflow(product, dimension, &product)) {
      throw DataError(fmt::format("`{}`: the shape {} takes more bytes than 2^63", name, shape_text(shape)),
                      "the header is corrupt; write the file again");
    }
  }
  return is_empty ? 0 : product;
}

}  // namespace lra::io
