// Notes on the classes of users' own data, which no published figure can be held against.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tasks/task.h"

namespace lra::tasks::custom {

/// Notes the classes, and those of which the train split has no example. `train_examples` is by label.
void tell_classes(const NoteFn& note, const std::vector<std::string>& names,
                  const std::vector<int64_t>& train_examples);

}  // namespace lra::tasks::custom
