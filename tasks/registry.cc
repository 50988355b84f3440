#include "tasks/registry.h"

#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <string>

#include "engine/errors.h"

namespace lra::tasks {
namespace {

struct Entry {
  std::shared_ptr<const Task> task;  // under its name and its aliases
  std::string file;
};

/// Inside a function, because registrations run before main in an unspecified order. Frozen once main has started.
std::map<std::string, Entry, std::less<>>& entries() {
  static std::map<std::string, Entry, std::less<>> map;
  return map;
}

}  // namespace

TaskRegistration::TaskRegistration(std::unique_ptr<Task> task, const char* file) {
  const std::shared_ptr<const Task> shared = std::move(task);
  std::vector<std::string> names = shared->facts().aliases;
  names.push_back(shared->facts().name);
  for (const std::string& name : names) {
    const auto [entry, is_new] = entries().try_emplace(name, Entry{shared, file});
    if (!is_new) {  // nothing can catch an exception before main
      fmt::print(stderr, "lra: the task `{}` is registered twice, in {} and in {}\n", name, entry->second.file, file);
      std::abort();
    }
  }
}

std::vector<const Task*> all_tasks() {
  std::vector<const Task*> tasks;
  for (const auto& [name, entry] : entries()) {
    if (entry.task->facts().name == name) tasks.push_back(entry.task.get());
  }
  return tasks;
}

const Task* find_task(std::string_view name) {
  const auto found = entries().find(name);
  return found == entries().end() ? nullptr : found->second.task.get();
}

const Task& task_named(std::string_view name) {
  if (const Task* task = find_task(name)) return *task;
  std::vector<std::string> known;
  for (const auto& [key, entry] : entries()) known.push_back(key);
  throw UsageError(fmt::format("there is no task `{}`", name), suggest(name, known));
}

}  // namespace lra::tasks
