// What a model must know of its task.
#pragma once

#include <cstdint>
#include <optional>

#include "tasks/task.h"

namespace lra::tasks {
class Dataset;
}

namespace lra::harness {

struct TaskShape {
  int64_t vocab_size = 0;
  int64_t num_classes = 0;
  int inputs_per_example = 1;                   // sequences that are classified together
  std::optional<tasks::ImageFacts> image = {};  // of tasks whose tokens are pixels

  bool is_pair() const { return inputs_per_example == 2; }
};

/// As the data have it, which decide where the task's facts leave something open.
TaskShape shape_of(const tasks::Dataset& dataset);

/// As the task's facts have it. Throws UsageError where only a data set can say.
TaskShape shape_of(const tasks::TaskFacts& facts);

}  // namespace lra::harness
