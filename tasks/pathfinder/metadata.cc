#include "tasks/pathfinder/metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "engine/errors.h"
#include "engine/io/npy_header.h"
#include "tasks/byte_stream.h"

namespace lra::tasks::pathfinder {
namespace {

constexpr size_t kFolderColumn = 0;
constexpr size_t kFileColumn = 1;
constexpr size_t kLabelColumn = 3;
constexpr size_t kContourLengthColumn = 5;
constexpr size_t kLeastColumns = 4;
constexpr size_t kMaxPathBytes = 1024;
constexpr size_t kMaxShownBytes = 40;

[[noreturn]] void fail(const std::string& name, size_t line, size_t column, const std::string& what) {
  throw DataError(fmt::format("`{}`, line {}, column {}: {}", name, line, column, what),
                  "a line is `FOLDER FILE NUMBER LABEL …`, for example `imgs/0 sample_17.png 17 1 1.0 14 4 2 0.5 1 1`");
}

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  return is_number ? std::optional(number) : std::nullopt;
}

/// One row from its columns; `positions` are those of messages, counted from 1.
ImageRow row_of(std::span<const std::string_view> columns, std::span<const size_t> positions, const std::string& name,
                size_t line) {
  if (columns.size() < kLeastColumns) {
    fail(name, line, positions.empty() ? 1 : positions.back(),
         fmt::format("the line has {} columns, expected at least {}", columns.size(), kLeastColumns));
  }
  ImageRow row{.path = fmt::format("{}/{}", columns[kFolderColumn], columns[kFileColumn]), .label = 0, .line = line};
  const auto check = [&](size_t column, bool is_good, const char* expected) {
    if (is_good) return;
    fail(name, line, positions[column],
         fmt::format("expected {}, found `{}`", expected, printable(columns[column], kMaxShownBytes)));
  };
  const auto is_plain = [](std::string_view text) {  // no control characters, and nothing that leads upwards
    const bool is_printable = std::none_of(text.begin(), text.end(),
                                           [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    const std::string slashed = fmt::format("/{}/", text);
    return is_printable && !text.empty() && text.size() < kMaxPathBytes && slashed.find("/../") == std::string::npos;
  };
  check(kFolderColumn, is_plain(columns[kFolderColumn]) && columns[kFolderColumn][0] != '/', "a folder such as imgs/0");
  check(kFileColumn, is_plain(columns[kFileColumn]) && columns[kFileColumn].find('/') == std::string_view::npos,
        "a file name such as sample_17.png");
  check(kLabelColumn, columns[kLabelColumn] == "0" || columns[kLabelColumn] == "1", "the label 0 or 1");
  row.label = columns[kLabelColumn] == "1" ? 1 : 0;
  if (columns.size() > kContourLengthColumn) row.contour_length = whole_number(columns[kContourLengthColumn]);
  return row;
}

using RowFn = std::function<void(const ImageRow& row)>;

void parse_text(std::string_view text, const std::string& name, const RowFn& row) {
  std::vector<std::string_view> columns;
  std::vector<size_t> positions;
  size_t line = 0;
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view whole = text.substr(at, end - at);
    if (whole.ends_with('\r')) whole.remove_suffix(1);
    at = end + 1;
    ++line;
    columns.clear();
    positions.clear();
    for (size_t begin = 0; begin < whole.size();) {
      if (whole[begin] == ' ' || whole[begin] == '\t') {
        ++begin;
        continue;
      }
      const size_t stop = std::min(whole.find_first_of(" \t", begin), whole.size());
      columns.push_back(whole.substr(begin, stop - begin));
      positions.push_back(begin + 1);
      begin = stop;
    }
    row(row_of(columns, positions, name, line));
  }
}

/// An array of strings of fixed width: [rows, columns] of `width` characters of 1 or 4 bytes.
struct StringArray {
  size_t rows = 0;
  size_t columns = 0;
  size_t width = 0;
  size_t character_bytes = 1;
  size_t data_offset = 0;
};

[[noreturn]] void fail_header(const std::string& name, const std::string& what) {
  throw DataError(fmt::format("`{}`: {}", name, what),
                  "expected lines of text, or a NumPy array [images, 11] of strings; unpack the archive again");
}

/// "<U16" and "|S16" are 16 characters. Pickled objects ("|O") are refused like all else: nothing is ever unpickled.
StringArray parse_header(std::string_view bytes, const std::string& name) {
  const io::NpyDescription header = io::parse_npy_description(std::as_bytes(std::span(bytes)), name);
  const bool is_wide = header.descr.starts_with("<U");
  if (!is_wide && !header.descr.starts_with("|S")) {
    fail_header(name, fmt::format("the array holds `{}` in place of strings", printable(header.descr, kMaxShownBytes)));
  }
  constexpr size_t kMaxWidth = 4096;
  constexpr int64_t kMaxColumns = 64;
  StringArray array{.character_bytes = is_wide ? size_t{4} : size_t{1}, .data_offset = header.data_offset_bytes};
  const char* const end = header.descr.data() + header.descr.size();
  const auto [stop, error] = std::from_chars(header.descr.data() + 2, end, array.width);
  if (error != std::errc() || stop != end || array.width == 0 || array.width > kMaxWidth || header.shape.size() != 2 ||
      header.shape[1] < 1 || header.shape[1] > kMaxColumns) {
    fail_header(name, fmt::format("an array `{}` of shape {}", printable(header.descr, kMaxShownBytes),
                                  io::shape_text(header.shape)));
  }
  array.rows = static_cast<size_t>(header.shape[0]);
  array.columns = static_cast<size_t>(header.shape[1]);
  const size_t row_bytes = array.columns * array.width * array.character_bytes;
  const size_t data_bytes = bytes.size() - array.data_offset;
  if (array.rows != data_bytes / row_bytes || data_bytes % row_bytes != 0) {
    fail_header(name,
                fmt::format("{} bytes follow the header, expected {} rows of {}", data_bytes, array.rows, row_bytes));
  }
  return array;
}

void parse_array(std::string_view bytes, const std::string& name, const RowFn& row) {
  const StringArray array = parse_header(bytes, name);
  std::vector<std::string> cells(array.columns);
  std::vector<std::string_view> columns(array.columns);
  std::vector<size_t> positions(array.columns);
  const size_t cell_bytes = array.width * array.character_bytes;
  for (size_t r = 0; r < array.rows; ++r) {
    for (size_t c = 0; c < array.columns; ++c) {
      const std::string_view raw = bytes.substr(array.data_offset + (r * array.columns + c) * cell_bytes, cell_bytes);
      std::string& cell = cells[c];
      cell.clear();
      positions[c] = c + 1;
      for (size_t i = 0; i < raw.size() && raw[i] != '\0'; i += array.character_bytes) {
        cell += raw[i];
        const bool is_ascii = static_cast<unsigned char>(raw[i]) < 0x80 &&
                              std::all_of(raw.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                          raw.begin() + static_cast<std::ptrdiff_t>(i + array.character_bytes),
                                          [](char byte) { return byte == '\0'; });
        if (!is_ascii) fail(name, r + 1, c + 1, "a character that is not ASCII");
      }
      columns[c] = cell;
    }
    row(row_of(columns, positions, name, r + 1));
  }
}

}  // namespace

void parse_metadata(std::span<const std::byte> bytes, const std::string& name, const RowFn& row) {
  constexpr std::string_view kMagic = "\x93NUMPY";
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with(kMagic)) {
    parse_array(text, name, row);
  } else {
    parse_text(text, name, row);
  }
}

std::string metadata_line(const GeneratorParameters& parameters, int64_t batch, int64_t number, int label, int margin) {
  const auto number_text = [](double value) {  // 1 as Python prints the float, "1.0"
    const std::string text = fmt::format("{}", value);
    return text.find('.') == std::string::npos ? text + ".0" : text;
  };
  return fmt::format("imgs/{} sample_{}.png {} {} {} {} {} {} {} {} {}\n", batch, number, number, label,
                     number_text(parameters.continuity), parameters.contour_length, parameters.distractor_length,
                     parameters.paddle_length, parameters.paddle_thickness, margin,
                     parameters.paddle_contrast_list.size());
}

}  // namespace lra::tasks::pathfinder
