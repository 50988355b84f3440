#include "tasks/listops/loader.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/errors.h"
#include "engine/io/file.h"
#include "tasks/listops/expression.h"

namespace lra::tasks::listops {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kRowHint =
    "each row is an expression, one tab and its value; unpack the official archive again, or mend the row";

/// Reads rows of one file; keeps the memory of a row for the next.
class RowReader {
 public:
  RowReader(const fs::path& path, int64_t max_length) : path_(path), max_length_(max_length) {}

  /// `line` without its line end; `number` counts from 1.
  void read(std::string_view line, size_t number) {
    const size_t tab = line.find('\t');
    if (tab == std::string_view::npos) fail(number, line.size(), "expected a tab and the target, found the end");
    const std::string_view target_text = line.substr(tab + 1);
    if (target_text.size() != 1 || target_text[0] < '0' || target_text[0] > '9') {
      fail(number, tab + 1,
           fmt::format("expected a target between 0 and 9, found {} characters that are none", target_text.size()));
    }
    tokens_.clear();
    positions_.clear();
    if (const std::optional<Fault> fault = tokenize(line.substr(0, tab), tokens_, positions_)) {
      fail(number, fault->position, fault->what);
    }
    if (static_cast<int64_t>(tokens_.size()) >= max_length_) {
      fail(number, positions_.back(),
           fmt::format("the expression has {} tokens, expected fewer than {}", tokens_.size(), max_length_));
    }
    const std::optional<int> value = evaluator_.evaluate(tokens_);
    if (!value) {
      const size_t at = evaluator_.fault().position;
      fail(number, at < positions_.size() ? positions_[at] : tab, evaluator_.fault().what);
    }
    target_ = target_text[0] - '0';
    if (*value != target_) {
      fail(number, tab + 1, fmt::format("expected the value of the expression, {}, found {}", *value, target_));
    }
  }

  std::span<const uint8_t> tokens() const { return tokens_; }
  int target() const { return target_; }

 private:
  /// `position` counts from 0, the column in the message from 1.
  [[noreturn]] void fail(size_t number, size_t position, const std::string& what) const {
    throw DataError(fmt::format("`{}`, line {}, column {}: {}", path_.string(), number, position + 1, what),
                    std::string(kRowHint));
  }

  const fs::path& path_;
  int64_t max_length_;
  std::vector<uint8_t> tokens_;
  std::vector<uint32_t> positions_;
  Evaluator evaluator_;
  int target_ = 0;
};

bool has_official_files(const fs::path& directory) {
  std::error_code error;
  for (const SplitName name : kSplitNames) {
    if (!fs::is_regular_file(directory / official_file(name), error)) return false;
  }
  return true;
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

fs::path find_official_directory(const fs::path& from) {
  for (const char* inside : {"", "lra_release/lra_release/listops-1000", "lra_release/listops-1000", "listops-1000"}) {
    fs::path directory = *inside == '\0' ? from : from / inside;
    if (has_official_files(directory)) return directory;
  }
  std::error_code error;
  if (!fs::exists(from, error)) {
    throw DataError(fmt::format("`{}` does not exist", from.string()),
                    "give --from the directory that holds basic_train.tsv, basic_val.tsv and basic_test.tsv");
  }
  std::string missing;
  for (const SplitName name : kSplitNames) {
    if (!fs::is_regular_file(from / official_file(name), error)) missing += fmt::format(" {}", official_file(name));
  }
  throw DataError(fmt::format("`{}` lacks{} (nor are the three files in listops-1000, lra_release/listops-1000 or "
                              "lra_release/lra_release/listops-1000 under it)",
                              from.string(), missing),
                  "give --from the directory that holds the three files");
}

void read_official_file(const fs::path& path, int64_t max_length, const RowFn& row) {
  const io::MappedFile file(path);
  const std::string_view text = file.text();
  RowReader reader(path, max_length);
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    at = end + 1;
    if (++number == 1) {
      if (line == kOfficialHeader) continue;
      throw DataError(fmt::format("`{}`, line 1, column 1: expected the header `Source<tab>Target`", path.string()),
                      "check that this is an official ListOps file");
    }
    reader.read(line, number);
    row(reader.tokens(), reader.target(), std::min(at, text.size()));
  }
  if (number == 0) {
    throw DataError(fmt::format("`{}` is empty: expected the header `Source<tab>Target`", path.string()),
                    "unpack the official archive again");
  }
}

}  // namespace lra::tasks::listops
