#include "tasks/listops/loader.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/errors.h"
#include "tasks/listops/expression.h"

namespace lra::tasks::listops {
namespace {

constexpr std::string_view kRowHint =
    "each row is an expression, one tab and its value; unpack the official archive again, or mend the row";

/// Reads rows of one file; keeps the memory of a row for the next.
class RowReader {
 public:
  RowReader(const TsvReader& lines, int64_t max_length) : lines_(lines), max_length_(max_length) {}

  /// `line` is the one at which the lines are, without its end.
  void read(std::string_view line) {
    const size_t tab = line.find('\t');
    if (tab == std::string_view::npos) fail(line.size(), "expected a tab and the target, found the end");
    const std::string_view target_text = line.substr(tab + 1);
    if (target_text.size() != 1 || target_text[0] < '0' || target_text[0] > '9') {
      fail(tab + 1,
           fmt::format("expected a target between 0 and 9, found {} characters that are none", target_text.size()));
    }
    tokens_.clear();
    positions_.clear();
    if (const std::optional<Fault> fault = tokenize(line.substr(0, tab), tokens_, positions_)) {
      fail(fault->position, fault->what);
    }
    if (static_cast<int64_t>(tokens_.size()) >= max_length_) {
      fail(positions_.back(),
           fmt::format("the expression has {} tokens, expected fewer than {}", tokens_.size(), max_length_));
    }
    const std::optional<int> value = evaluator_.evaluate(tokens_);
    if (!value) {
      const size_t at = evaluator_.fault().position;
      fail(at < positions_.size() ? positions_[at] : tab, evaluator_.fault().what);
    }
    target_ = target_text[0] - '0';
    if (*value != target_) {
      fail(tab + 1, fmt::format("expected the value of the expression, {}, found {}", *value, target_));
    }
  }

  std::span<const uint8_t> tokens() const { return tokens_; }
  int target() const { return target_; }

 private:
  [[noreturn]] void fail(size_t position, const std::string& what) const { lines_.fail(0, position, what); }

  const TsvReader& lines_;
  int64_t max_length_;
  std::vector<uint8_t> tokens_;
  std::vector<uint32_t> positions_;
  Evaluator evaluator_;
  int target_ = 0;
};

void read_header(TsvReader& lines, const std::string& path) {
  if (!lines.next()) {
    throw DataError(fmt::format("`{}` is empty: expected the header `Source<tab>Target`", path),
                    "unpack the official archive again");
  }
  if (lines.field(0) != kOfficialHeader) {
    throw DataError(fmt::format("`{}`, line 1, column 1: expected the header `Source<tab>Target`", path),
                    "check that this is an official ListOps file");
  }
}

}  // namespace

const char* official_file(SplitName split) {
  switch (split) {
    case SplitName::kTrain:
      return "basic_train.tsv";
    case SplitName::kValidation:
      return "basic_val.tsv";
    case SplitName::kTest:
      return "basic_test.tsv";
  }
  LRA_CHECK(false, "unknown SplitName");
}

void read_official_file(ByteStream& bytes, const std::string& path, int64_t max_length, const RowFn& row,
                        uint64_t earlier_lines) {
  // Blanks and parentheses are most of an official text: up to 12 bytes a token.
  constexpr uint64_t kBytesPerToken = 64;
  const uint64_t max_line_bytes = kBytesPerToken * static_cast<uint64_t>(max_length);
  TsvReader lines(bytes, path, {{"Source", max_line_bytes}}, TsvReader::LastColumn::kTakesTabs, std::string(kRowHint),
                  earlier_lines);
  if (earlier_lines == 0) read_header(lines, path);
  RowReader reader(lines, max_length);
  while (lines.next()) {
    if (lines.field_bytes(0) > max_line_bytes) {
      lines.fail(
          0, max_line_bytes,
          fmt::format("the line has {} bytes, too many for fewer than {} tokens", lines.field_bytes(0), max_length));
    }
    reader.read(lines.field(0));
    row(reader.tokens(), reader.target(), lines);
  }
}

}  // namespace lra::tasks::listops
