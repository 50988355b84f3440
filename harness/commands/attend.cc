// lra attend: one mechanism on arrays from files, forward and backward.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <tuple>

#include "attention/registry.h"
#include "engine/errors.h"
#include "engine/io/npy.h"
#include "engine/io/safetensors.h"
#include "harness/attend.h"
#include "harness/commands/command.h"
#include "harness/commands/options.h"
#include "harness/config.h"
#include "harness/model/model.h"

namespace lra::harness {
namespace {

struct AttendFlags {
  std::string attention, q, k, v, x, mask, out;
  std::string grad_out, grad_q, grad_k, grad_v, grad_x;
  std::string dtype = "f32", kernels = "fused";
  std::string parameters, parameters_out;
  std::vector<std::string> assignments;
  int64_t nominal_length = 0;
  uint64_t seed = 0;
};

HostArray read_array(const std::string& path) {
  const io::NpyArray array(path);
  if (array.shape().size() > engine::kMaxRank)
    throw UsageError(fmt::format("[attend] {} has {} axes", path, array.shape().size()), "at most 4 are possible");
  HostArray host{.shape = engine::Shape(array.shape()), .values = {}};
  const auto copy = [&](const auto values) { host.values.assign(values.begin(), values.end()); };
  switch (array.type()) {
    case io::NpyType::kFloat32:
      copy(array.as<float>());
      break;
    case io::NpyType::kFloat64:
      copy(array.as<double>());
      break;
    case io::NpyType::kBool:
    case io::NpyType::kUint8:
      copy(array.as<uint8_t>());
      break;
    case io::NpyType::kInt32:
      copy(array.as<int32_t>());
      break;
    case io::NpyType::kInt64:
      copy(array.as<int64_t>());
      break;
    default:
      throw UsageError(fmt::format("[attend] {} holds {}", path, io::type_name(array.type())),
                       "save it as float32 or float64 (a mask may also be bool, uint8, int32 or int64)");
  }
  return host;
}

HostArray read_float_array(const std::string& path) {
  const io::NpyArray array(path);
  if (array.type() != io::NpyType::kFloat32 && array.type() != io::NpyType::kFloat64)
    throw UsageError(fmt::format("[attend] {} holds {}", path, io::type_name(array.type())),
                     "save it as float32 or float64, e.g. numpy.save(path, x.astype('f4'))");
  return read_array(path);
}

std::vector<double> read_mask(const std::string& path) {
  HostArray mask = read_array(path);
  if (mask.shape.rank() != 1 || mask.values.empty())
    throw UsageError(fmt::format("[attend] {} has the shape {}", path, mask.shape.to_string()),
                     "the mask is [n], 1 = real token");
  return std::move(mask.values);
}

/// Another shape of as many elements is refused too.
std::vector<double> read_output_gradient(const std::string& path, const AttendRequest& request) {
  HostArray gradient = read_float_array(path);
  if (!request.arguments.empty() && !(gradient.shape == request.arguments[0].shape))
    throw UsageError(fmt::format("[attend] {} has the shape {}, the output {}", path, gradient.shape.to_string(),
                                 request.arguments[0].shape.to_string()),
                     "--grad-out has the output's shape");
  return std::move(gradient.values);
}

void write_array(const std::string& path, const HostArray& array, engine::Dtype dtype) {
  std::vector<int64_t> shape;
  for (int axis = 0; axis < array.shape.rank(); ++axis) shape.push_back(array.shape[axis]);
  if (dtype == engine::Dtype::f64) {
    io::write_npy<double>(path, shape, array.values);
  } else {
    const std::vector<float> rounded(array.values.begin(), array.values.end());
    io::write_npy<float>(path, shape, rounded);
  }
}

/// Reads `--set attention.key=value`; other sections have no meaning here.
void apply_assignments(const AttendFlags& flags, AttendRequest& request) {
  TrainConfig config;
  config.attention.name = flags.attention;
  for (const std::string& assignment : flags.assignments) {
    if (!assignment.starts_with("attention."))
      throw UsageError(fmt::format("[attend] --set {}: only attention.* has a meaning here", assignment),
                       "for example --set attention.causal=true");
    set_assignment(config, assignment);
  }
  request.parameters = attention_parameters(config);
  request.causal = config.attention.causal;
}

std::map<std::string, HostArray> read_parameters(const std::string& path) {
  std::map<std::string, HostArray> values;
  const io::SafetensorsFile file(path);
  for (const io::SafetensorsTensor& tensor : file.tensors()) {
    HostArray& array = values[tensor.name];
    array.shape = engine::Shape(tensor.shape);
    if (tensor.type == io::SafetensorsType::kF64) {
      array.values = file.values<double>(tensor.name);
    } else {
      const std::vector<float> narrow = file.values<float>(tensor.name);
      array.values.assign(narrow.begin(), narrow.end());
    }
  }
  return values;
}

void write_parameters(const std::string& path, const AttendResult& result) {
  std::vector<io::SafetensorsTensor> tensors;
  const auto add = [&](const std::string& prefix, const std::map<std::string, HostArray>& arrays) {
    for (const auto& [name, array] : arrays) {
      std::vector<int64_t> shape;
      for (int axis = 0; axis < array.shape.rank(); ++axis) shape.push_back(array.shape[axis]);
      tensors.push_back(io::make_tensor<double>(prefix + name, shape, array.values));
    }
  };
  add("", result.parameters);
  add("grad/", result.parameter_gradients);
  io::write_safetensors(path, tensors);
}

void run_attend(const AttendFlags& flags) {
  AttendRequest request{.attention = flags.attention,
                        .dtype = flags.dtype == "f64" ? engine::Dtype::f64 : engine::Dtype::f32,
                        .kernels = flags.kernels == "plain" ? engine::Kernels::plain : engine::Kernels::fused,
                        .nominal_length = flags.nominal_length,
                        .seed = flags.seed};
  apply_assignments(flags, request);
  const attention::Mechanism& mechanism = attention::find(flags.attention);
  const std::vector<std::string> names = attention::argument_names(mechanism);
  std::vector<std::string> gradient_files;
  for (const auto& [name, array, gradient] :
       {std::tuple("q", flags.q, flags.grad_q), std::tuple("k", flags.k, flags.grad_k),
        std::tuple("v", flags.v, flags.grad_v), std::tuple("x", flags.x, flags.grad_x)}) {
    const bool taken = std::find(names.begin(), names.end(), name) != names.end();
    if (!array.empty()) request.arguments.push_back(read_float_array(array));
    if (taken) gradient_files.push_back(gradient);
    if (!taken && !array.empty())
      throw UsageError(
          fmt::format("[attend] --{} {}: {} takes {}", name, array, flags.attention, argument_text(mechanism)),
          fmt::format("leave --{} out", name));
    if (!taken && !gradient.empty())
      throw UsageError(
          fmt::format("[attend] --grad-{} {} asks for the gradient of an argument that is not given", name, gradient),
          fmt::format("{} takes {}", flags.attention, argument_text(mechanism)));
  }
  if (!flags.mask.empty()) request.mask = read_mask(flags.mask);
  if (!flags.grad_out.empty()) request.output_gradient = read_output_gradient(flags.grad_out, request);
  if (!flags.parameters.empty()) request.parameter_values = read_parameters(flags.parameters);

  for (const std::string& file : gradient_files)
    if (!file.empty() && flags.grad_out.empty())
      throw UsageError(fmt::format("[attend] {} asks for a gradient without --grad-out", file),
                       "give the gradient of the output with --grad-out go.npy");
  require_writable(flags.out);
  for (const std::string& file : gradient_files) require_writable(file);
  require_writable(flags.parameters_out);
  const AttendResult result = attend(request);
  write_array(flags.out, result.output, request.dtype);
  for (size_t i = 0; i < gradient_files.size(); ++i)
    if (!gradient_files[i].empty()) write_array(gradient_files[i], result.gradients[i], request.dtype);
  if (!flags.parameters_out.empty()) write_parameters(flags.parameters_out, result);
}

}  // namespace

void add_attend_command(CLI::App& app, int&) {
  const auto flags = std::make_shared<AttendFlags>();
  CLI::App* command = app.add_subcommand("attend", "run one mechanism on arrays from .npy files");
  command->add_option("--attention", flags->attention, "mechanism, see `lra list attention`")
      ->type_name(kMechanismType)
      ->required();
  command->add_option("--q", flags->q, "queries [h, n, d_head]")->type_name(kFileType);
  command->add_option("--k", flags->k, "keys [h, n, d_head]")->type_name(kFileType);
  command->add_option("--v", flags->v, "values [h, n, d_head]")->type_name(kFileType);
  command->add_option("--x", flags->x, "for mixers: [n, d_model]")->type_name(kFileType);
  command->add_option("--mask", flags->mask, "[n], 1 = real token, 0 = pad (default: all real)")->type_name(kFileType);
  command->add_option("--out", flags->out, "output file")->type_name(kFileType)->required();
  command->add_option("--grad-out", flags->grad_out, "gradient of the output, to be carried back")
      ->type_name(kFileType);
  command->add_option("--grad-q", flags->grad_q, "where the gradient of q goes")->type_name(kFileType);
  command->add_option("--grad-k", flags->grad_k, "where the gradient of k goes")->type_name(kFileType);
  command->add_option("--grad-v", flags->grad_v, "where the gradient of v goes")->type_name(kFileType);
  command->add_option("--grad-x", flags->grad_x, "where the gradient of x goes")->type_name(kFileType);
  add_choice(*command, "--dtype", flags->dtype, {"f32", "f64"}, "of inputs and outputs")->capture_default_str();
  add_choice(*command, "--kernels", flags->kernels, {"fused", "plain"}, "fused (as in training; f32) or plain")
      ->capture_default_str();
  command
      ->add_option("--set", flags->assignments, "a parameter of the mechanism, as attention.epsilon=1e-6; repeatable")
      ->type_name(kKeyValueType)
      ->expected(1)
      ->take_all();
  command->add_option("--nominal-length", flags->nominal_length, "the task's length, e.g. cosFormer's M (default: n)")
      ->type_name(kCountType);
  command->add_option("--parameters", flags->parameters, "safetensors with the mechanism's own parameters")
      ->type_name(kFileType);
  command->add_option("--parameters-out", flags->parameters_out, "where these, and their gradients as grad/…, go")
      ->type_name(kFileType);
  add_seed_flag(*command, flags->seed, "of parameters that are not given (default: 0)");
  add_plugin_flag(*command);
  command->footer(
      "Example:\n  lra attend --attention cosformer --q q.npy --k k.npy --v v.npy --out o.npy\n"
      "  lra attend --attention softmax --q q.npy --k k.npy --v v.npy --out o.npy --dtype f64 --grad-out go.npy "
      "--grad-q gq.npy");
  command->callback([flags] { run_attend(*flags); });
}

}  // namespace lra::harness
