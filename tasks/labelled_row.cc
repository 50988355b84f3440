#include "tasks/labelled_row.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "engine/errors.h"
#include "tasks/encoding.h"

namespace lra::tasks {

std::string labelled_row(const Dataset& dataset, const Split& split, int64_t example) {
  const Manifest& manifest = dataset.manifest();
  const std::span<const uint16_t> tokens = split.tokens16(example);
  const auto is_character = [&](uint16_t token) { return token > 0 && token < manifest.vocabulary.size(); };
  if (!std::all_of(tokens.begin(), tokens.end(), is_character)) {
    throw DataError(
        fmt::format("example {} of {} has tokens that are no characters", example, split_text(split.name())),
        fmt::format("the dataset was altered or damaged; check it with `lra data verify {}`", manifest.task));
  }
  const std::string text = decode_text(manifest.vocabulary, tokens);
  if (text.find('\n') != std::string::npos) {
    throw UsageError(
        fmt::format("example {} of {} holds a line feed, which no line can", example, split_text(split.name())),
        fmt::format("lra data export {} --split {} --format npy --output {}.npy", manifest.task,
                    split_text(split.name()), split_text(split.name())));
  }
  const auto label = static_cast<size_t>(split.label(example));
  const std::string name = manifest.class_names.empty() ? std::to_string(label) : manifest.class_names[label];
  return fmt::format("{}\t{}\r\n", name, text);
}

}  // namespace lra::tasks
