// lra predict: logits of a run's weights on tokens from a file, and the gradients of the loss.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/errors.h"
#include "engine/io/npy.h"
#include "engine/io/safetensors.h"
#include "harness/commands/command.h"
#include "harness/commands/options.h"
#include "harness/predict.h"
#include "harness/trained_run.h"

namespace lra::harness {
namespace {

struct PredictFlags {
  MachineFlags machine;
  std::string run, weights;
  std::string input, output, labels, gradients;
  std::string dtype = "f32", kernels;
  bool json = false;
};

struct Integers {
  std::vector<int64_t> shape;
  std::vector<int64_t> values;  // what no int64 holds becomes the largest one
};

Integers read_integers(const std::string& path) {
  const io::NpyArray array(path);
  Integers read{.shape = array.shape(), .values = {}};
  read.values.reserve(static_cast<size_t>(array.elements()));
  const auto copy = [&](const auto values) {
    for (const auto value : values)
      read.values.push_back(std::in_range<int64_t>(value) ? static_cast<int64_t>(value) : INT64_MAX);
  };
  switch (array.type()) {
    case io::NpyType::kUint8:
      copy(array.as<uint8_t>());
      break;
    case io::NpyType::kUint16:
      copy(array.as<uint16_t>());
      break;
    case io::NpyType::kUint32:
      copy(array.as<uint32_t>());
      break;
    case io::NpyType::kUint64:
      copy(array.as<uint64_t>());
      break;
    case io::NpyType::kInt32:
      copy(array.as<int32_t>());
      break;
    case io::NpyType::kInt64:
      copy(array.as<int64_t>());
      break;
    default:
      throw UsageError(fmt::format("[predict] {} holds {}", path, io::type_name(array.type())),
                       "save it as integers, e.g. numpy.save(path, x.astype('i4'))");
  }
  return read;
}

PredictRequest read_request(const PredictFlags& flags, const TaskShape& task) {
  const auto expect_rank = [](const std::string& path, const Integers& array, size_t rank, const std::string& form) {
    if (array.shape.size() != rank)
      throw UsageError(fmt::format("[predict] {} has the shape {}", path, io::shape_text(array.shape)), form);
  };
  Integers tokens = read_integers(flags.input);
  if (task.is_pair()) {
    expect_rank(flags.input, tokens, 3, "the input is [examples, 2, n]: the task classifies two sequences together");
    if (tokens.shape[1] != 2)
      throw UsageError(fmt::format("[predict] {} has the shape {}", flags.input, io::shape_text(tokens.shape)),
                       "the input is [examples, 2, n]: the task classifies two sequences together");
  } else {
    expect_rank(flags.input, tokens, 2, "the input is [examples, n]; one sequence is x[None, :]");
  }
  PredictRequest request{.n = tokens.shape.back(),
                         .tokens = std::move(tokens.values),
                         .gradients = !flags.gradients.empty(),
                         .threads = flags.machine.thread_count(),
                         .memory_limit_bytes = flags.machine.memory_limit_bytes()};
  if (flags.labels.empty()) return request;
  Integers labels = read_integers(flags.labels);
  expect_rank(flags.labels, labels, 1, "labels are [examples]");
  if (labels.values.empty())
    throw UsageError(fmt::format("[predict] {} is empty", flags.labels), "labels are [examples]");
  request.labels = std::move(labels.values);
  return request;
}

template <class T>
void write_prediction(const PredictFlags& flags, const Prediction& prediction, const Predictor& predictor) {
  const auto rounded = [](const std::vector<double>& values) { return std::vector<T>(values.begin(), values.end()); };
  const int64_t classes = predictor.task().num_classes;
  const int64_t shape[] = {static_cast<int64_t>(prediction.logits.size()) / classes, classes};
  io::write_npy<T>(flags.output, shape, rounded(prediction.logits));
  if (flags.gradients.empty()) return;
  const std::vector<T> flat = rounded(prediction.gradients);
  std::vector<io::SafetensorsTensor> tensors;
  for (const engine::Parameter& parameter : predictor.parameters().list()) {
    std::vector<int64_t> dims;
    for (int axis = 0; axis < parameter.shape.rank(); ++axis) dims.push_back(parameter.shape[axis]);
    tensors.push_back(io::make_tensor<T>(parameter.name, dims,
                                         std::span(flat).subspan(static_cast<size_t>(parameter.offset),
                                                                 static_cast<size_t>(parameter.shape.elements()))));
  }
  io::write_safetensors(flags.gradients, tensors, {{"loss", fmt::format("{}", prediction.mean_loss())}});
}

/// Throws UsageError for flags that contradict each other.
void check_flags(const PredictFlags& flags) {
  if (flags.dtype == "f64" && flags.kernels == "fused")
    throw UsageError("[predict] --kernels fused has no f64 form", "leave --kernels out: f64 runs the plain kernels");
  if (!flags.gradients.empty() && flags.labels.empty())
    throw UsageError(fmt::format("[predict] --gradients {} without --labels", flags.gradients),
                     "gradients are those of the loss: give the labels with --labels y.npy");
  if (flags.gradients == flags.output)
    throw UsageError(fmt::format("[predict] --output and --gradients are both {}", flags.output),
                     "give them different names");
}

void print_prediction(const PredictFlags& flags, const Prediction& prediction, const PredictRequest& request,
                      int64_t num_classes) {
  const double accuracy = static_cast<double>(prediction.correct) / static_cast<double>(request.labels.size());
  if (flags.json) {
    nlohmann::ordered_json json = {{"examples", static_cast<int64_t>(prediction.logits.size()) / num_classes},
                                   {"output", flags.output},
                                   {"loss", nullptr},
                                   {"accuracy", nullptr},
                                   {"correct", nullptr}};
    if (!request.labels.empty()) {
      json["loss"] = prediction.mean_loss();
      json["accuracy"] = accuracy;
      json["correct"] = prediction.correct;
    }
    std::cout << json.dump(2) << "\n";
  } else if (!request.labels.empty()) {
    std::cout << fmt::format("loss {:.6g}  accuracy {:.2f} %  ({} of {})\n", prediction.mean_loss(), 100 * accuracy,
                             prediction.correct, request.labels.size());
  }
}

void run_predict(const PredictFlags& flags) {
  check_flags(flags);
  const TrainConfig config = config_of_run(flags.run);
  const std::filesystem::path file =
      flags.weights.empty() ? weights_of_run(flags.run, config) : std::filesystem::path(flags.weights);
  const TaskShape task = shape_of_weights(file, config);
  const bool plain = flags.kernels.empty() ? config.train.kernels == Kernels::kPlain : flags.kernels == "plain";
  const bool wide = flags.dtype == "f64";
  Predictor predictor(config, task, wide ? engine::Dtype::f64 : engine::Dtype::f32,
                      plain ? engine::Kernels::plain : engine::Kernels::fused);
  const std::vector<double> weights = read_weights(file, predictor.parameters());
  const PredictRequest request = read_request(flags, task);
  require_writable(flags.output);
  require_writable(flags.gradients);
  const Prediction prediction = predictor.predict(request, weights);
  if (wide) {
    write_prediction<double>(flags, prediction, predictor);
  } else {
    write_prediction<float>(flags, prediction, predictor);
  }
  print_prediction(flags, prediction, request, task.num_classes);
}

}  // namespace

void add_predict_command(CLI::App& app, int&) {
  const auto flags = std::make_shared<PredictFlags>();
  CLI::App* command = app.add_subcommand("predict", "logits of a run's weights on tokens from a .npy file");
  command->add_option("RUN", flags->run, "run directory, as `lra train` prints it")
      ->type_name(kDirectoryType)
      ->required();
  command
      ->add_option(
          "--input", flags->input,
          "tokens [examples, n], of pairs [examples, 2, n]; ids of the task's vocabulary, 0 = pad (images: black)")
      ->type_name(kFileType)
      ->required();
  command->add_option("--output", flags->output, "where the logits [examples, classes] go (.npy)")
      ->type_name(kFileType)
      ->required();
  command->add_option("--labels", flags->labels, "classes [examples]: prints loss and accuracy")->type_name(kFileType);
  command
      ->add_option("--gradients", flags->gradients,
                   "where the gradients of the mean loss go (safetensors, named as in a checkpoint)")
      ->type_name(kFileType);
  command->add_option("--weights", flags->weights, "safetensors to use instead of the run's weights, f32 or f64")
      ->type_name(kFileType);
  add_choice(*command, "--dtype", flags->dtype, {"f32", "f64"}, "f64: plain kernels, weights widened, results in f64")
      ->capture_default_str();
  add_choice(*command, "--kernels", flags->kernels, {"fused", "plain"}, "default: as the run was trained");
  flags->machine.add_to(*command);
  add_plugin_flag(*command);
  command->add_flag("--json", flags->json, "print loss and accuracy as JSON");
  command->footer(
      "The model runs as in evaluation, without dropout; the gradients are those of that form.\n\n"
      "Example:\n  lra predict RUN --input tokens.npy --output logits.npy\n"
      "  lra predict RUN --input tokens.npy --output logits.npy --labels labels.npy --gradients gradients.safetensors "
      "--dtype f64");
  command->callback([flags] { run_predict(*flags); });
}

}  // namespace lra::harness
