// The predictor that every task has: always the most frequent label of the train split.
#pragma once

#include "tasks/dataset.h"
#include "tasks/task.h"

namespace lra::tasks {

/// Both splits of `dataset` must have examples; of equally frequent labels the smallest is taken.
ShortcutBaseline majority_baseline(const Dataset& dataset);

}  // namespace lra::tasks
