#include "harness/initial_weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "engine/errors.h"
#include "engine/io/npy.h"  // shape_text
#include "engine/io/safetensors.h"
#include "engine/io/sha256.h"
#include "harness/checkpoint.h"
#include "harness/trained_run.h"

namespace lra::harness {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOptimizerPrefix = "opt/";

/// "a, b, c and 4 more".
std::string listed(const std::vector<std::string>& names) {
  constexpr size_t kShown = 3;
  const size_t shown = std::min(kShown, names.size());
  const std::string text =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<ptrdiff_t>(shown), ", "));
  return names.size() > shown ? fmt::format("{} and {} more", text, names.size() - shown) : text;
}

/// Every difference in one message: a user who mends one at a time would run the program as often.
void require_same_tensors(const io::SafetensorsFile& file, const engine::Parameters& parameters) {
  std::vector<std::string> missing, other_shape, unknown;
  std::set<std::string> known;
  for (const engine::Parameter& parameter : parameters.list()) {
    known.insert(parameter.name);
    const io::SafetensorsTensor* tensor = file.find(parameter.name);
    if (tensor == nullptr) {
      missing.push_back(parameter.name);
    } else if (tensor->shape.size() > engine::kMaxRank || !(engine::Shape(tensor->shape) == parameter.shape)) {
      other_shape.push_back(fmt::format("{} is {}, the model's {}", parameter.name, io::shape_text(tensor->shape),
                                        parameter.shape.to_string()));
    }
  }
  for (const io::SafetensorsTensor& tensor : file.tensors())
    if (!known.contains(tensor.name) && !tensor.name.starts_with(kOptimizerPrefix)) unknown.push_back(tensor.name);
  std::vector<std::string> problems;
  if (!missing.empty()) problems.push_back("it has no " + listed(missing));
  if (!other_shape.empty()) problems.push_back(listed(other_shape));
  if (!unknown.empty()) problems.push_back("the model has no " + listed(unknown));
  if (problems.empty()) return;
  throw RunError(
      fmt::format("[--init-from] {} does not fit the model: {}", file.path().string(), fmt::join(problems, "; ")),
      "use the --attention, --length and model.* keys it was trained with (config.json in its run directory)");
}

}  // namespace

void settle_initial_weights(TrainConfig& config) {
  OptimisationConfig& train = config.train;
  if (train.init_from.empty()) return;
  fs::path file = train.init_from;
  std::error_code error;
  if (fs::is_directory(file, error)) file = weights_of_run(file, config_of_run(file));
  file = fs::absolute(file).lexically_normal();
  train.init_from = file.string();
  if (!fs::exists(file, error) && !train.init_sha256.empty()) return;
  if (!fs::is_regular_file(file, error))
    throw DataError(
        fmt::format("[--init-from] {} {}", file.string(), fs::exists(file, error) ? "is not a file" : "does not exist"),
        "give a run directory or a safetensors file, for example RUN/checkpoint/best.safetensors");
  const std::string found = io::sha256_file(file);
  if (!train.init_sha256.empty() && train.init_sha256 != found)
    throw DataError(fmt::format("[train.init_from] {} has the SHA-256 {}, but the configuration is of {}",
                                file.string(), found, train.init_sha256),
                    "restore the file, or give it with --init-from to start a run of its own");
  train.init_sha256 = found;
}

std::vector<float> read_initial_weights(const TrainConfig& config, const engine::Parameters& parameters) {
  const io::SafetensorsFile file(config.train.init_from);
  require_undamaged(file);
  require_same_tensors(file, parameters);
  const std::vector<double> values = read_weights(config.train.init_from, parameters);
  for (const engine::Parameter& parameter : parameters.list())
    for (int64_t i = 0; i < parameter.shape.elements(); ++i)
      if (const double value = values[static_cast<size_t>(parameter.offset + i)]; !std::isfinite(value))
        throw DataError(
            fmt::format("[--init-from] {}: tensor {} holds {}", config.train.init_from, parameter.name, value),
            "use a checkpoint from before the run diverged");
  return {values.begin(), values.end()};
}

}  // namespace lra::harness
