// Rows of a tab-separated text, read as a stream: quotes mean nothing, and of a field no more is kept than asked for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/byte_stream.h"

namespace lra::tasks {

struct TsvColumn {
  std::string name;     // for messages
  uint64_t kept_bytes;  // of each field; the rest is read and counted, not kept
};

/// Rows end with LF or CRLF; the last one may lack its end. A byte-order mark in front of the first is skipped. Bytes
/// are not interpreted otherwise.
class TsvReader {
 public:
  enum class LastColumn { kEndsAtTab, kTakesTabs };

  /// `path` names the file in messages; `row_hint` is the hint of errors in rows. `bytes` begin after the first
  /// `earlier_lines` of the file.
  TsvReader(ByteStream& bytes, std::string path, std::vector<TsvColumn> columns, LastColumn last, std::string row_hint,
            uint64_t earlier_lines = 0);

  /// Reads the next row; false at the end of the file. Throws: DataError for a row with fewer or more columns.
  bool next();

  int64_t line() const { return line_; }                             // from 1, of the file
  uint64_t end_bytes() const { return read_bytes_ - rest_.size(); }  // of the stream, up to the end of the row

  /// The kept part of a field of the row, valid until next(), and how many bytes it has in the file.
  std::string_view field(size_t column) const { return fields_[column].kept; }
  uint64_t field_bytes(size_t column) const { return fields_[column].bytes; }

  /// Throws a DataError naming file, line and column, which is byte `position` (from 0) of a field.
  [[noreturn]] void fail(size_t column, uint64_t position, const std::string& what) const;

 private:
  struct Field {
    std::string kept;
    uint64_t bytes = 0;
    uint64_t begin = 0;  // byte of the line
  };

  bool refill();
  void start_row();
  void append(size_t column, std::string_view text);
  void put(size_t column, std::string_view text);
  [[noreturn]] void fail_at(uint64_t position, const std::string& what) const;

  ByteStream& bytes_;
  std::string path_;
  std::vector<TsvColumn> columns_;
  LastColumn last_;
  std::string row_hint_;
  std::vector<char> buffer_;
  uint64_t read_bytes_ = 0;
  std::string_view rest_;  // of the buffer
  bool has_begun_ = false;
  std::vector<Field> fields_;
  bool has_return_waiting_ = false;
  uint64_t line_bytes_ = 0;
  int64_t line_ = 0;
};

}  // namespace lra::tasks
