// The tasks by name. A task registers itself from its own folder:
//
//   namespace { const TaskRegistration kRegistration(std::make_unique<ListOps>()); }
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "tasks/task.h"

namespace lra::tasks {

/// Registers a task, under its name and its aliases, while the program starts. Two tasks of one name end the program
/// with a message naming both files.
class TaskRegistration {
 public:
  explicit TaskRegistration(std::unique_ptr<Task> task, const char* file = __builtin_FILE());
};

/// All tasks, sorted by name.
std::vector<const Task*> all_tasks();

/// By name or alias; nullptr when there is no such task.
const Task* find_task(std::string_view name);

/// Throws: UsageError with near matches and all names when there is no such task.
const Task& task_named(std::string_view name);

}  // namespace lra::tasks
