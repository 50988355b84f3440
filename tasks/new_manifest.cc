#include "tasks/new_manifest.h"

#include <fmt/format.h>

#include "engine/errors.h"

namespace lra::tasks {

Manifest new_manifest(const TaskFacts& facts, const char* kind) {
  Manifest manifest;
  manifest.task = facts.name;
  manifest.source.kind = kind;
  manifest.vocabulary = facts.vocabulary;
  manifest.num_classes = facts.num_classes;
  manifest.nominal_length = facts.nominal_length;
  manifest.inputs_per_example = facts.inputs_per_example;
  return manifest;
}

void note_unusual_sizes(const TaskFacts& facts, const Manifest& manifest, const NoteFn& note) {
  for (const SplitName name : kSplitNames) {
    const int64_t official = facts.default_examples[name];
    if (!note || manifest.examples[name] == official) continue;
    note(fmt::format("the {} split has {} examples; the published data of {} have {}", split_text(name),
                     manifest.examples[name], facts.full_name, official));
  }
}

void require_examples(const Manifest& manifest, const std::filesystem::path& from) {
  for (const SplitName name : {SplitName::kTrain, SplitName::kTest}) {
    if (manifest.examples[name] > 0) continue;
    throw DataError(fmt::format("`{}` holds no examples for the {} split", from.string(), split_text(name)),
                    "look whether the download is complete, or unpack it again");
  }
}

}  // namespace lra::tasks
