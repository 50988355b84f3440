// A small prepared dataset for tests of the store.
#pragma once

#include <vector>

#include "tasks/dataset_writer.h"

namespace lra::tasks {

inline Manifest toy_manifest(TokenType type = TokenType::kUint8, int inputs = 1) {
  Manifest manifest;
  manifest.task = "toy";
  manifest.source = {.kind = "generate", .counts = {{"candidates", 12}}, .file_sha256 = {}};
  manifest.parameters = {{"min_length", int64_t{1}}, {"share", 0.5}, {"policy", std::string("official")}};
  manifest.seed = 18446744073709551615U;
  manifest.vocabulary = {"<pad>", "a", "b", "c"};
  manifest.num_classes = 3;
  manifest.nominal_length = 5;
  manifest.inputs_per_example = inputs;
  manifest.token_type = type;
  return manifest;
}

/// train {1 2 3 -> 0, 1 -> 2}, validation {} , test {3 3 -> 1}.
inline void write_toy(DatasetWriter& writer) {
  const std::vector<uint8_t> first{1, 2, 3};
  const std::vector<uint8_t> second{1};
  const std::vector<uint8_t> third{3, 3};
  writer.add_sequence(SplitName::kTrain, first);
  writer.add_label(SplitName::kTrain, 0);
  writer.add_sequence(SplitName::kTest, third);
  writer.add_label(SplitName::kTest, 1);
  writer.add_sequence(SplitName::kTrain, second);
  writer.add_label(SplitName::kTrain, 2);
}

inline void make_toy(const std::filesystem::path& data_dir, bool force = false) {
  DatasetWriter writer(data_dir, toy_manifest(), force);
  write_toy(writer);
  writer.finish();
}

}  // namespace lra::tasks
