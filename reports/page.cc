#include "reports/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <sstream>

namespace lra::reports {
namespace {

constexpr size_t kColumnGap = 2;

/// The words of `text`; a number and the unit after it stay together ("6.39 MiB,", "(55 %),").
std::vector<std::string> unbreakable_words(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; stream >> word;) {
    const bool unit_follows = !words.empty() && std::isdigit(static_cast<unsigned char>(words.back().back())) &&
                              words.back().find_first_not_of("([0123456789.,") == std::string::npos;
    if (unit_follows) {
      words.back() += " " + word;
    } else {
      words.push_back(word);
    }
  }
  return words;
}

std::string padded(const std::string& text, size_t width, Table::Align align) {
  const std::string blanks(width - std::min(width, columns_of(text)), ' ');
  return align == Table::Align::kLeft ? text + blanks : blanks + text;
}

}  // namespace

size_t columns_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;  // not the continuation of a character
  }));
}

std::string wrap(const std::string& text, int width, int indent) {
  const size_t room = static_cast<size_t>(std::max(1, width));
  std::string lines, line;
  bool empty = true;
  for (const std::string& word : unbreakable_words(text)) {
    if (!empty && columns_of(line) + 1 + columns_of(word) > room) {
      lines += line + "\n";
      line.assign(static_cast<size_t>(indent), ' ');
      empty = true;
    }
    line += (empty ? "" : " ") + word;
    empty = false;
  }
  return lines + line;
}

std::string fit(const std::string& text, int width) {
  std::istringstream lines(text);
  std::string fitted;
  for (std::string line; std::getline(lines, line);) {
    if (static_cast<int>(columns_of(line)) <= width) {
      fitted += line + "\n";
      continue;
    }
    const size_t indent = std::min(line.find_first_not_of(' '), static_cast<size_t>(width / 2));
    const int room = width - static_cast<int>(indent);
    fitted += std::string(indent, ' ') + wrap(line.substr(indent), room, 2 + static_cast<int>(indent)) + "\n";
  }
  return fitted;
}

Page::Page(int width)
    : width_(static_cast<size_t>(std::max(kLeastWidth, width))), label_width_(width_ < 60 ? 12 : 14) {}

void Page::row(std::string_view label, const std::string& value) {
  if (value.empty()) return;
  std::string line = fmt::format("{:<{}}", label, label_width_);
  if (columns_of(label) >= label_width_) line += ' ';
  bool empty = true;
  for (const std::string& word : unbreakable_words(value)) {
    if (!empty && columns_of(line) + 1 + columns_of(word) > width_) {
      put(line);
      line.assign(label_width_, ' ');
      empty = true;
    }
    line += (empty ? "" : " ") + word;
    empty = false;
  }
  put(line);
}

void Page::rule() { put(std::string(width_, '-')); }

/// A word longer than the page is cut into lines of its own.
void Page::put(std::string line) {
  while (columns_of(line) > width_ && line.size() > width_) {
    size_t at = width_;
    while ((static_cast<unsigned char>(line[at]) & 0xC0U) == 0x80U) --at;
    text_ += line.substr(0, at) + "\n";
    line = std::string(label_width_, ' ') + line.substr(at);
  }
  text_ += line + "\n";
}

std::string Table::text(int width) const {
  std::vector<size_t> widths;
  for (const Column& column : columns_) widths.push_back(columns_of(column.heading));
  for (const Row& row : rows_)
    for (size_t i = 0; i < row.cells.size(); ++i) widths[i] = std::max(widths[i], columns_of(row.cells[i]));
  size_t before_last = 0;
  for (size_t i = 0; i + 1 < widths.size(); ++i) before_last += widths[i] + kColumnGap;
  const bool last_is_text = columns_.back().align == Align::kLeft;
  const size_t least_last = last_is_text ? std::min<size_t>(widths.back(), 24) : widths.back();
  const auto room = static_cast<size_t>(std::max(kLeastWidth, width));
  if (before_last + least_last > room) return blocks(width);

  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (size_t i = 0; i + 1 < cells.size(); ++i)
      text += padded(cells[i], widths[i], columns_[i].align) + std::string(kColumnGap, ' ');
    if (!last_is_text) return text + padded(cells.back(), widths.back(), Align::kRight) + "\n";
    std::istringstream wrapped(wrap(cells.back(), static_cast<int>(room - before_last)));
    bool first = true;
    std::string lines;
    for (std::string part; std::getline(wrapped, part); first = false)
      lines += (first ? text : std::string(before_last, ' ')) + part + "\n";
    return first ? text.substr(0, text.find_last_not_of(' ') + 1) + "\n" : lines;
  };
  std::vector<std::string> headings;
  for (const Column& column : columns_) headings.push_back(column.heading);
  std::string all = line(headings);
  for (const Row& row : rows_)
    all += row.cells.empty() ? "    " + wrap(row.remark, static_cast<int>(room) - 4, 4) + "\n" : line(row.cells);
  return all;
}

std::string Table::blocks(int width) const {
  std::string all;
  for (const Row& row : rows_) {
    if (row.cells.empty()) {
      all += "  " + wrap(row.remark, std::max(kLeastWidth, width) - 2, 4) + "\n";
      continue;
    }
    Page page(width);
    for (size_t i = 0; i < row.cells.size(); ++i)
      page.row(i == 0 ? columns_[i].heading : "  " + columns_[i].heading, row.cells[i]);
    all += page.text();
  }
  return all;
}

}  // namespace lra::reports
