#include "tasks/export.h"

#include <algorithm>
#include <vector>

#include "engine/io/file.h"
#include "engine/io/npy.h"

namespace lra::tasks {
namespace {

template <class T>
void append_row(const Split& split, int64_t example, std::vector<int32_t>& ids, std::vector<T>& row,
                io::NpyStreamWriter& writer) {
  for (int input = 0; input < split.inputs_per_example(); ++input) {
    split.copy_tokens(example, input, ids);
    std::transform(ids.begin(), ids.end(), row.begin(), [](int32_t id) { return static_cast<T>(id); });
    writer.append(std::span<const T>(row));
  }
}

}  // namespace

void export_tsv(const Task& task, const Dataset& dataset, SplitName name, const std::filesystem::path& output,
                const ProgressFn& progress) {
  const Split& split = dataset.split(name);
  constexpr size_t kBufferBytes = size_t{1} << 20;
  io::AtomicFile file(output);
  std::string text = task.tsv_header();
  for (int64_t i = 0; i < split.size(); ++i) {
    text += task.tsv_row(dataset, split, i);
    if (text.size() >= kBufferBytes) {
      file.write(text);
      text.clear();
    }
    if (progress) progress(static_cast<uint64_t>(i) + 1, static_cast<uint64_t>(split.size()));
  }
  file.write(text);
  file.commit();
}

void export_npy(const Dataset& dataset, SplitName name, const std::filesystem::path& output,
                const ProgressFn& progress) {
  const Split& split = dataset.split(name);
  const int64_t n = dataset.manifest().nominal_length;
  std::vector<int64_t> row_shape{n};
  if (split.inputs_per_example() > 1) row_shape.insert(row_shape.begin(), split.inputs_per_example());
  const bool is_wide = split.token_type() == TokenType::kUint16;
  io::NpyStreamWriter tokens(output, is_wide ? io::NpyType::kUint16 : io::NpyType::kUint8, row_shape, split.size());
  io::NpyStreamWriter labels(labels_path(output), io::NpyType::kUint8, {}, split.size());
  std::vector<int32_t> ids(static_cast<size_t>(n));
  std::vector<uint8_t> row8(is_wide ? 0 : ids.size());
  std::vector<uint16_t> row16(is_wide ? ids.size() : 0);
  for (int64_t i = 0; i < split.size(); ++i) {
    if (is_wide) {
      append_row(split, i, ids, row16, tokens);
    } else {
      append_row(split, i, ids, row8, tokens);
    }
    const auto label = static_cast<uint8_t>(split.label(i));
    labels.append(std::span(&label, 1));
    if (progress) progress(static_cast<uint64_t>(i) + 1, static_cast<uint64_t>(split.size()));
  }
  tokens.finish();
  labels.finish();
}

std::filesystem::path labels_path(const std::filesystem::path& output) {
  std::filesystem::path path = output;
  return path.replace_extension().concat(".labels.npy");
}

}  // namespace lra::tasks
