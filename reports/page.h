// Rows of "label  value" as text of a given width: what reports are made of.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lra::reports {

/// The narrowest text that a page makes; narrower windows wrap it.
inline constexpr int kLeastWidth = 40;

/// Rows of "label  value", values wrapped at spaces and aligned under each other.
class Page {
 public:
  explicit Page(int width);

  /// Left out when `value` is empty.
  void row(std::string_view label, const std::string& value);
  void rule();

  const std::string& text() const { return text_; }

 private:
  void put(std::string line);

  size_t width_;
  size_t label_width_;
  std::string text_;
};

/// A table whose columns fit their content: the first to the left, numbers to the right, the last one wrapped or left
/// as it is. Where the window is too narrow for it, each row becomes a block of "label  value" lines.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string heading;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// As many cells as there are columns.
  void row(std::vector<std::string> cells) { rows_.push_back({std::move(cells), ""}); }
  /// A line below the last row, indented.
  void remark(const std::string& text) { rows_.push_back({{}, text}); }

  std::string text(int width) const;

 private:
  struct Row {
    std::vector<std::string> cells;
    std::string remark;
  };
  std::string blocks(int width) const;

  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

/// `text` in lines of at most `width` columns, broken at spaces; a word longer than that has a line of its own. Lines
/// after the first begin with `indent` spaces. No newline at the end.
std::string wrap(const std::string& text, int width, int indent = 0);

/// Lines of `text` that are wider than `width` wrapped, with what follows their beginning indented.
std::string fit(const std::string& text, int width);

/// Columns that UTF-8 text takes on a terminal, one a character.
size_t columns_of(std::string_view text);

}  // namespace lra::reports
