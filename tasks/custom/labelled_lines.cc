#include "tasks/custom/labelled_lines.h"

#include "tasks/class_names.h"

namespace lra::tasks::custom {

void read_labelled_lines(ByteStream& bytes, const std::string& path, int64_t max_bytes, const LineFn& line,
                         uint64_t earlier_lines) {
  TsvReader rows(bytes, path, {{"label", ClassNames::kMaxNameBytes + 1}, {"text", static_cast<uint64_t>(max_bytes)}},
                 TsvReader::LastColumn::kTakesTabs, "each line is a label, one tab and the text", earlier_lines);
  while (rows.next()) line(rows.field(0), rows.field(1), rows);
}

}  // namespace lra::tasks::custom
