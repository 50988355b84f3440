#include "tasks/retrieval/pairs.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "engine/errors.h"

namespace lra::tasks::retrieval {

const char* official_file(SplitName split) {
  switch (split) {
    case SplitName::kTrain:
      return "new_aan_pairs.train.tsv";
    case SplitName::kValidation:
      return "new_aan_pairs.eval.tsv";
    case SplitName::kTest:
      return "new_aan_pairs.test.tsv";
  }
  LRA_CHECK(false, "unknown SplitName");
}

void read_pairs(ByteStream& bytes, const std::string& path, int64_t max_bytes, const PairFn& pair,
                uint64_t earlier_lines) {
  enum Column : size_t { kLabel, kFirstId, kSecondId, kFirst, kSecond };
  constexpr uint64_t kShownBytes = 24;  // of a label that is none
  const auto kept = static_cast<uint64_t>(max_bytes);
  TsvReader rows(bytes, path, {{"label", kShownBytes}, {"id1", 0}, {"id2", 0}, {"text1", kept}, {"text2", kept}},
                 TsvReader::LastColumn::kEndsAtTab,
                 "a row is: label, id1, id2, text1, text2, with tabs between them; unpack the archive again",
                 earlier_lines);
  while (rows.next()) {
    const std::string_view text = rows.field(kLabel);
    double label = -1;  // written as a number of any form: "1.0", "1"
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), label);
    if (error != std::errc() || end != text.data() + text.size() || (label != 0 && label != 1)) {
      rows.fail(kLabel, 0, fmt::format("expected the label 0.0 or 1.0, found `{}`", printable(text)));
    }
    pair({label == 1 ? 1 : 0, rows.field(kFirst), rows.field(kSecond)}, rows);
  }
}

void pack(const Pair& pair, std::vector<uint8_t>& packed) {
  const auto first_bytes = static_cast<uint32_t>(pair.first.size());
  packed.resize(sizeof(first_bytes));
  std::memcpy(packed.data(), &first_bytes, sizeof(first_bytes));
  packed.insert(packed.end(), pair.first.begin(), pair.first.end());
  packed.insert(packed.end(), pair.second.begin(), pair.second.end());
}

Pair unpacked(std::span<const uint8_t> packed, int label) {
  uint32_t first_bytes = 0;
  if (packed.size() >= sizeof(first_bytes)) std::memcpy(&first_bytes, packed.data(), sizeof(first_bytes));
  if (packed.size() < sizeof(first_bytes) + first_bytes) {
    throw DataError("a pair that an import had read was altered", "start the import again");
  }
  const std::string_view texts(reinterpret_cast<const char*>(packed.data()) + sizeof(first_bytes),
                               packed.size() - sizeof(first_bytes));
  return {label, texts.substr(0, first_bytes), texts.substr(first_bytes)};
}

}  // namespace lra::tasks::retrieval
