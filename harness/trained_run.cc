#include "harness/trained_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "engine/io/npy.h"  // shape_text
#include "engine/io/safetensors.h"
#include "harness/model/model.h"
#include "harness/plugins.h"
#include "harness/progress.h"
#include "harness/run_directory.h"
#include "tasks/registry.h"

namespace lra::harness {

namespace fs = std::filesystem;

TrainConfig config_of_run(const fs::path& run) {
  const fs::path file = run / "config.json";
  std::error_code error;
  if (!fs::is_regular_file(file, error))
    throw DataError(
        fmt::format("[run] {} {}", run.string(), fs::exists(run, error) ? "holds no config.json" : "does not exist"),
        "give a run directory, as `lra train` prints it at its end");
  TrainConfig config;
  set_recorded(config, read_json(file), file.string());
  derive(config);
  validate(config);
  const TrainConfig kept = config;
  complete_attention_parameters(config);
  if (const std::string change = changed_plugin(kept, config); !change.empty())
    log_line(fmt::format("warning: {}: {}", run.string(), change));
  return config;
}

fs::path weights_of_run(const fs::path& run, const TrainConfig& config) {
  const bool best = config.train.selection == Selection::kBestValidation;
  fs::path chosen = run / "checkpoint" / (best ? "best.safetensors" : "last.safetensors");
  std::error_code error;
  if (!fs::exists(chosen, error))
    throw DataError(fmt::format("[run] {} does not exist", chosen.string()),
                    "train the run first (`lra train …`, or go on with --resume)");
  return chosen;
}

TaskShape shape_of_weights(const fs::path& file, const TrainConfig& config) {
  const io::SafetensorsFile weights(file);
  const auto size = [&](std::string_view name, size_t axis) {  // 0: there is no such matrix
    const io::SafetensorsTensor* tensor = weights.find(name);
    return tensor != nullptr && tensor->shape.size() == 2 ? tensor->shape[axis] : 0;
  };
  const tasks::TaskFacts& facts = tasks::task_named(config.task.name).facts();
  const int64_t classes = size("classifier.out.weight", 1), rows = size("embedding.tokens.weight", 0);
  if (classes == 0 || (facts.vocabulary.empty() && rows == 0)) return shape_of(facts);
  // A table with a number of rows of its own says no more than that there are not more ids.
  const bool rows_are_ids = config.model.vocab_rows == 0 || facts.vocabulary.empty();
  return {.vocab_size = rows > 0 && rows_are_ids ? rows : facts.vocab_size(),
          .num_classes = classes,
          .inputs_per_example = facts.inputs_per_example,
          .image = facts.image};
}

std::vector<double> read_weights(const fs::path& file, const engine::Parameters& parameters) {
  const io::SafetensorsFile weights(file);
  std::vector<double> flat(static_cast<size_t>(parameters.flat_elements()));
  for (const engine::Parameter& parameter : parameters.list()) {
    const io::SafetensorsTensor& tensor = weights.at(parameter.name);
    const bool wide = tensor.type == io::SafetensorsType::kF64;
    if (!wide && tensor.type != io::SafetensorsType::kF32)
      throw RunError(
          fmt::format("[weights] {}: tensor {} holds {}", file.string(), parameter.name, io::type_name(tensor.type)),
          "weights are F32 or F64");
    if (tensor.shape.size() > engine::kMaxRank || !(engine::Shape(tensor.shape) == parameter.shape))
      throw RunError(fmt::format("[weights] {}: tensor {} is {}, the model's {}", file.string(), parameter.name,
                                 io::shape_text(tensor.shape), parameter.shape.to_string()),
                     "use the configuration it was trained with (config.json in its run directory)");
    const auto copy = [&](const auto& values) {
      std::copy(values.begin(), values.end(), flat.begin() + parameter.offset);
    };
    if (wide) {
      copy(weights.values<double>(parameter.name));
    } else {
      copy(weights.values<float>(parameter.name));
    }
  }
  return flat;
}

}  // namespace lra::harness
