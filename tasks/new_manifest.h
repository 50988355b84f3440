// What the manifest of an import says of its task before any example is known.
#pragma once

#include "tasks/manifest.h"
#include "tasks/task.h"

namespace lra::tasks {

/// `kind` is "generate" or "import".
Manifest new_manifest(const TaskFacts& facts, const char* kind);

/// Notes which splits have another number of examples than the official data.
void note_unusual_sizes(const TaskFacts& facts, const Manifest& manifest, const NoteFn& note);

/// Throws: DataError naming `from` when there are no examples for training or none for testing.
void require_examples(const Manifest& manifest, const std::filesystem::path& from);

}  // namespace lra::tasks
