#include "tasks/custom/labelled_lines.h"

#include "tasks/class_names.h"

namespace lra::tasks::custom {

void read_labelled_lines(ByteStream& bytes, const std::string& path, int64_t max_bytes, const LineFn& line) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  TsvReader rows(
      bytes, path,
      {{"label", ClassNames::kMaxNameBytes + kByteOrderMark.size() + 1}, {"text", static_cast<uint64_t>(max_bytes)}},
      TsvReader::LastColumn::kTakesTabs, "each line is a label, one tab and the text");
  while (rows.next()) {
    std::string_view label = rows.field(0);
    if (rows.line() == 1 && label.starts_with(kByteOrderMark)) label.remove_prefix(kByteOrderMark.size());
    line(label, rows.field(1), rows);
  }
}

}  // namespace lra::tasks::custom
