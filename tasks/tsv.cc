#include "tasks/tsv.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "engine/errors.h"

namespace lra::tasks {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10;

}  // namespace

TsvReader::TsvReader(ByteStream& bytes, std::string path, std::vector<TsvColumn> columns, LastColumn last,
                     std::string row_hint, uint64_t earlier_lines)
    : bytes_(bytes),
      path_(std::move(path)),
      columns_(std::move(columns)),
      last_(last),
      row_hint_(std::move(row_hint)),
      buffer_(kBufferBytes),
      has_begun_(earlier_lines > 0),
      fields_(columns_.size()),
      line_(static_cast<int64_t>(earlier_lines)) {}

void TsvReader::fail_at(uint64_t position, const std::string& what) const {
  throw DataError(fmt::format("`{}`, line {}, column {}: {}", path_, line_, position + 1, what), row_hint_);
}

void TsvReader::fail(size_t column, uint64_t position, const std::string& what) const {
  fail_at(fields_[column].begin + position, what);
}

bool TsvReader::refill() {
  const std::span<std::byte> buffer = std::as_writable_bytes(std::span(buffer_));
  size_t count = bytes_.read(buffer);
  const bool is_start = !std::exchange(has_begun_, true);
  for (size_t more = count; is_start && more > 0 && count < kByteOrderMark.size(); count += more)
    more = bytes_.read(buffer.subspan(count));
  read_bytes_ += count;
  rest_ = {buffer_.data(), count};
  if (!is_start || !rest_.starts_with(kByteOrderMark)) return !rest_.empty();
  rest_.remove_prefix(kByteOrderMark.size());
  return !rest_.empty() || refill();
}

void TsvReader::put(size_t column, std::string_view text) {
  Field& field = fields_[column];
  field.bytes += text.size();
  const uint64_t room = columns_[column].kept_bytes - field.kept.size();
  field.kept += text.substr(0, static_cast<size_t>(std::min<uint64_t>(room, text.size())));
}

/// A carriage return at the end of what is known so far waits: it may belong to the end of the line.
void TsvReader::append(size_t column, std::string_view text) {
  if (text.empty()) return;
  line_bytes_ += text.size();
  if (has_return_waiting_) put(column, "\r");
  has_return_waiting_ = text.ends_with('\r');
  text.remove_suffix(has_return_waiting_ ? 1 : 0);
  put(column, text);
}

void TsvReader::start_row() {
  ++line_;
  line_bytes_ = 0;
  has_return_waiting_ = false;
  for (Field& field : fields_) {
    field.kept.clear();
    field.bytes = field.begin = 0;
  }
}

bool TsvReader::next() {
  if (rest_.empty() && !refill()) return false;
  start_row();
  size_t column = 0;
  while (!rest_.empty() || refill()) {
    const size_t line_end = rest_.find('\n');
    const std::string_view line = rest_.substr(0, line_end);  // what the buffer has of it
    const bool ends_at_tab = column + 1 < columns_.size() || last_ == LastColumn::kEndsAtTab;
    const size_t tab = ends_at_tab ? line.find('\t') : std::string_view::npos;
    append(column, line.substr(0, tab));
    if (tab != std::string_view::npos) {
      if (column + 1 == columns_.size()) {
        fail_at(line_bytes_,
                fmt::format("expected the end of the line after {} columns, found a tab", columns_.size()));
      }
      if (std::exchange(has_return_waiting_, false)) put(column, "\r");
      rest_.remove_prefix(tab + 1);
      fields_[++column].begin = ++line_bytes_;
    } else if (line_end != std::string_view::npos) {
      rest_.remove_prefix(line_end + 1);
      break;
    } else {
      rest_ = {};
    }
  }
  if (column + 1 < columns_.size()) {
    fail_at(line_bytes_ - (has_return_waiting_ ? 1 : 0),
            fmt::format("expected a tab and the column `{}` ({} of {}), found the end of the line",
                        columns_[column + 1].name, column + 2, columns_.size()));
  }
  return true;
}

}  // namespace lra::tasks
