#include "tasks/task.h"

#include <fmt/format.h>

#include "engine/errors.h"

namespace lra::tasks {

void Task::generate(const GenerateOptions&, const std::filesystem::path& data_dir, const ProgressFn&) const {
  throw UsageError(fmt::format("the task `{}` has no generator", facts().name),
                   fmt::format("lra data import {} --from PATH --data {}", facts().name, data_dir.string()));
}

std::string Task::tsv_header() const {
  throw UsageError(fmt::format("`{}` has no text format", facts().name),
                   fmt::format("lra data export {} --split test --format npy --output test.npy", facts().name));
}

std::string Task::tsv_row(const Dataset&, const Split&, int64_t) const { return tsv_header(); }

void Task::export_images(const Dataset&, SplitName split, const std::filesystem::path& directory,
                         const ProgressFn&) const {
  throw UsageError(fmt::format("the examples of `{}` are no images", facts().name),
                   fmt::format("lra data export {} --split {} --format tsv --output {}.tsv", facts().name,
                               split_text(split), directory.string()));
}

}  // namespace lra::tasks
