// Imports that are stopped on their way.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tasks/registry.h"
#include "tasks/task.h"

namespace lra::tasks {

/// Thrown out of the work, as an interrupt is.
struct Stopped {};

struct Attempt {
  bool is_done = false;
  uint64_t first_done = 0;  // what was reported, of `total`
  uint64_t last_done = 0;
  uint64_t total = 0;
  std::vector<std::string> notes;
};

/// Imports until `reports` reports of progress have come; with `checkpoint_interval_s` 0 all that was read is kept.
inline Attempt attempt(const std::string& task, const ImportOptions& options, const std::filesystem::path& data_dir,
                       int reports) {
  Attempt made;
  ImportOptions noting = options;
  noting.note = [&](const std::string& note) { made.notes.push_back(note); };
  int left = reports;
  const auto progress = [&](uint64_t done, uint64_t total) {
    if (total > 0 && made.total == 0) made.first_done = done;
    made.last_done = done;
    made.total = total;
    if (left-- == 0) throw Stopped();
  };
  try {
    task_named(task).import(noting, data_dir, progress);
    made.is_done = true;
  } catch (const Stopped&) {
  }
  return made;
}

/// Files of the data directory but for the dataset and its lock.
inline std::vector<std::string> leftovers(const std::filesystem::path& data_dir, const std::string& task) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(data_dir)) {
    const std::string name = entry.path().filename();
    if (name != task && name != "." + task + ".lock") names.push_back(name);
  }
  return names;
}

}  // namespace lra::tasks
