// An import of any task into a directory of a test.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tasks/dataset.h"
#include "tasks/registry.h"

namespace lra::tasks {

struct Imported {
  Dataset dataset;
  std::vector<std::string> notes;
};

/// Imports `task` from `from` into `data_dir`, in place of a dataset that is there, and opens it.
inline Imported import_task(const std::string& task, const std::filesystem::path& from,
                            const std::filesystem::path& data_dir, const ParameterTexts& parameters = {}) {
  std::vector<std::string> notes;
  task_named(task).import({.from = from,
                           .parameters = parameters,
                           .force = true,
                           .note = [&](const std::string& note) { notes.push_back(note); }},
                          data_dir, {});
  return {Dataset::open(data_dir, task), notes};
}

}  // namespace lra::tasks
