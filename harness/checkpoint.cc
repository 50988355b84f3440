#include "harness/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "engine/io/json.h"
#include "engine/io/sha256.h"

namespace lra::harness {
namespace {

constexpr const char* kFormat = "lra-checkpoint-1";

std::vector<int64_t> dims_of(const engine::Shape& shape) {
  std::vector<int64_t> dims;
  for (int axis = 0; axis < shape.rank(); ++axis) dims.push_back(shape[axis]);
  return dims;
}

void add_tensors(std::vector<io::SafetensorsTensor>& tensors, const std::string& prefix,
                 const engine::Parameters& parameters, std::span<const float> flat) {
  for (const engine::Parameter& parameter : parameters.list())
    tensors.push_back(io::make_tensor<float>(
        prefix + parameter.name, dims_of(parameter.shape),
        flat.subspan(static_cast<size_t>(parameter.offset), static_cast<size_t>(parameter.shape.elements()))));
}

void read_tensors(const io::SafetensorsFile& file, const std::string& prefix, const engine::Parameters& parameters,
                  std::span<float> flat) {
  for (const engine::Parameter& parameter : parameters.list()) {
    const std::string name = prefix + parameter.name;
    const io::SafetensorsTensor& tensor = file.at(name);
    if (tensor.shape != dims_of(parameter.shape))
      throw RunError(fmt::format("[checkpoint] {}: tensor {} has another shape than the model's {}",
                                 file.path().string(), name, parameter.shape.to_string()),
                     "use the configuration it was trained with (config.json beside it)");
    const std::vector<float> values = file.values<float>(name);
    std::copy(values.begin(), values.end(), flat.begin() + parameter.offset);
  }
}

nlohmann::json tally_json(const Tally& tally) {
  return {{"loss_sum", tally.loss_sum},
          {"correct", tally.correct},
          {"examples", tally.examples},
          {"tokens", tally.tokens},
          {"executed_tokens", tally.executed_tokens}};
}

int64_t count_at(const nlohmann::json& json, const char* key) {
  const auto count = io::integer_at<int64_t>(json, key);
  if (count < 0) io::refuse_json<nlohmann::json>(fmt::format("`{}` is {}, below 0", key, count));
  return count;
}

Tally tally_from(const nlohmann::json& json) {
  return {.loss_sum = json.at("loss_sum"),
          .correct = count_at(json, "correct"),
          .examples = count_at(json, "examples"),
          .tokens = count_at(json, "tokens"),
          .executed_tokens = count_at(json, "executed_tokens")};
}

nlohmann::json state_json(const RunState& state) {
  return {{"step", state.step},
          {"metrics_bytes", state.metrics_bytes},
          {"best", {{"step", state.best.step}, {"accuracy", state.best.accuracy}, {"loss", state.best.loss}}},
          {"last_validation_accuracy", state.last_validation_accuracy},
          {"last_validation_loss", state.last_validation_loss},
          {"since_log", tally_json(state.since_log)},
          {"since_evaluation", tally_json(state.since_evaluation)},
          {"last_window", tally_json(state.last_window)},
          {"all", tally_json(state.all)},
          {"model_flops", state.model_flops},
          {"longest_rows", state.longest_rows},
          {"wall_s", state.wall_s}};
}

RunState state_from(const nlohmann::json& json) {
  return {.step = count_at(json, "step"),
          .metrics_bytes = io::integer_at<uint64_t>(json, "metrics_bytes"),
          .best = {.step = count_at(json.at("best"), "step"),
                   .accuracy = json.at("best").at("accuracy"),
                   .loss = json.at("best").at("loss")},
          .last_validation_accuracy = json.at("last_validation_accuracy"),
          .last_validation_loss = json.at("last_validation_loss"),
          .since_log = tally_from(json.at("since_log")),
          .since_evaluation = tally_from(json.at("since_evaluation")),
          .last_window = tally_from(json.at("last_window")),
          .all = tally_from(json.at("all")),
          .model_flops = count_at(json, "model_flops"),
          .longest_rows = count_at(json, "longest_rows"),
          .wall_s = json.at("wall_s")};
}

/// What `sha256` in the metadata holds: the digest of all tensors' data in the order of the file, then of the metadata
/// that results depend on. A header can be well-formed, and every number in it or behind it wrong.
std::string digest_of(std::span<const io::SafetensorsTensor> tensors,
                      const std::map<std::string, std::string>& metadata) {
  io::Sha256 digest;
  for (const io::SafetensorsTensor& tensor : tensors) digest.update(tensor.data);
  for (const auto& [key, value] : metadata)
    if (key != "sha256") digest.update(fmt::format("{}={}\n", key, value));
  return digest.hex_digest();
}

void write_checkpoint(const std::filesystem::path& path, std::span<const io::SafetensorsTensor> tensors,
                      std::map<std::string, std::string> metadata) {
  metadata["format"] = kFormat;
  metadata["sha256"] = digest_of(tensors, metadata);  // all are f32, so that the file keeps their order
  io::write_safetensors(path, tensors, metadata);
}

std::string metadata_of(const io::SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    throw DataError(fmt::format("[checkpoint] {} has no metadata `{}`", file.path().string(), key),
                    "it is not a checkpoint of this program, or it is damaged: start again with --force");
  return found->second;
}

/// Shapes may fit where numbers do not: the hash covers the whole configuration and the data set.
void require_configuration(const io::SafetensorsFile& file, const std::string& config_hash) {
  const std::string theirs = metadata_of(file, "config_hash");
  if (theirs == config_hash) return;
  throw RunError(fmt::format("[checkpoint] {} is of configuration {}, but this configuration with this data set is {}",
                             file.path().string(), theirs, config_hash),
                 "use the configuration and the --data it was trained with, or train again with --force");
}

/// Throws DataError.
RunState read_state(const io::SafetensorsFile& file) {
  const std::string text = metadata_of(file, "state");
  try {
    return state_from(io::parse_json<nlohmann::json>(text));
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format("[checkpoint] {}: damaged state: {}", file.path().string(), error.what()),
                    "start again with --force");
  }
}

}  // namespace

void require_undamaged(const io::SafetensorsFile& file) {
  const auto known = file.metadata().find("sha256");
  if (known == file.metadata().end() || known->second == digest_of(file.tensors(), file.metadata())) return;
  throw DataError(
      fmt::format("[checkpoint] {} was altered or damaged: its content has another SHA-256 than was written",
                  file.path().string()),
      "restore the file, or train again with --force");
}

void save_checkpoint(const std::filesystem::path& path, const std::string& config_hash, const RunState& state,
                     Learner& learner) {
  const engine::Parameters& parameters = learner.model().parameters();
  std::vector<io::SafetensorsTensor> tensors;
  add_tensors(tensors, "", parameters, learner.weights());
  add_tensors(tensors, "opt/m/", parameters, learner.first_moments());
  add_tensors(tensors, "opt/v/", parameters, learner.second_moments());
  write_checkpoint(
      path, tensors,
      {{"config_hash", config_hash}, {"step", std::to_string(state.step)}, {"state", state_json(state).dump()}});
}

void save_weights(const std::filesystem::path& path, const std::string& config_hash, int64_t step, Learner& learner) {
  std::vector<io::SafetensorsTensor> tensors;
  add_tensors(tensors, "", learner.model().parameters(), learner.weights());
  write_checkpoint(path, tensors, {{"config_hash", config_hash}, {"step", std::to_string(step)}});
}

RunState load_checkpoint(const std::filesystem::path& path, const std::string& config_hash, Learner& learner) {
  const io::SafetensorsFile file(path);
  require_undamaged(file);
  require_configuration(file, config_hash);
  const RunState state = read_state(file);
  const engine::Parameters& parameters = learner.model().parameters();
  read_tensors(file, "", parameters, learner.weights());
  read_tensors(file, "opt/m/", parameters, learner.first_moments());
  read_tensors(file, "opt/v/", parameters, learner.second_moments());
  return state;
}

int64_t checkpoint_step(const std::filesystem::path& path, const std::string& config_hash) {
  const io::SafetensorsFile file(path);
  require_undamaged(file);
  require_configuration(file, config_hash);
  return read_state(file).step;
}

void load_weights(const std::filesystem::path& path, const std::string& config_hash,
                  const engine::Parameters& parameters, std::span<float> weights) {
  const io::SafetensorsFile file(path);
  require_undamaged(file);
  require_configuration(file, config_hash);
  read_tensors(file, "", parameters, weights);
}

}  // namespace lra::harness
