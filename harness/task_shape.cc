#include "harness/task_shape.h"

#include <fmt/format.h>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tasks/registry.h"

namespace lra::harness {

TaskShape shape_of(const tasks::Dataset& dataset) {
  const tasks::Task* task = tasks::find_task(dataset.manifest().task);
  return {.vocab_size = dataset.vocab_size(),
          .num_classes = dataset.num_classes(),
          .inputs_per_example = dataset.manifest().inputs_per_example,
          .image = task == nullptr ? std::nullopt : task->facts().image};
}

TaskShape shape_of(const tasks::TaskFacts& facts) {
  if (facts.num_classes < 1 || facts.vocabulary.empty()) {
    throw UsageError(
        fmt::format("[task.name] the classes and the vocabulary of `{}` are those of its data", facts.name),
        "name a task whose shape is known without data: `lra list tasks`");
  }
  return {.vocab_size = facts.vocab_size(),
          .num_classes = facts.num_classes,
          .inputs_per_example = facts.inputs_per_example,
          .image = facts.image};
}

}  // namespace lra::harness
