#include "harness/model/model.h"

#include <fmt/format.h>

#include <algorithm>

#include "attention/plugin_guard.h"
#include "attention/registry.h"
#include "engine/errors.h"
#include "harness/model/encoder.h"
#include "harness/plugins.h"

namespace lra::harness {
namespace {

constexpr int64_t kBucketRows = 64;  // plans are shared by all sequences of one multiple of this

attention::ParameterValue from_json(const std::string& name, const nlohmann::json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  throw UsageError(fmt::format("attention.{} = {}: expected a boolean, a number or a string", name, value.dump()),
                   "`lra list attention` shows the parameters of each mechanism");
}

attention::ProblemSize problem_size(const TrainConfig& config, int64_t n) {
  const ModelConfig& m = config.model;
  return {.n = n,
          .heads = m.heads,
          .d_head = m.d_head,
          .d_model = m.d_model,
          .causal = config.attention.causal,
          .nominal_length = m.max_rows()};
}

/// Why the rows of masked tokens cannot be left out; empty where they can.
std::string why_rows_stay(const TrainConfig& config) {
  if (!mechanism_of(config).facts().masked_rows_droppable)
    return fmt::format("{} needs every row in its place", config.attention.name);
  if (config.model.pooling == Pooling::kMeanPadded) return "model.pooling = mean_padded counts them";
  return "";
}

}  // namespace

attention::ParameterValues attention_parameters(const TrainConfig& config) {
  attention::ParameterValues given;
  for (const auto& [name, value] : config.attention.parameters) given.emplace(name, from_json(name, value));
  return attention::resolve_parameters(mechanism_of(config).facts(), given);
}

void check_attention(const TrainConfig& config) {
  attention::check_usage(mechanism_of(config), attention_parameters(config),
                         problem_size(config, config.model.max_rows()));
  if (const std::string reason = why_rows_stay(config); config.drops_masked_rows() && !reason.empty())
    throw UsageError(fmt::format("[model.masked_rows] drop: {}", reason),
                     "leave it at auto, which drops them where that changes nothing");
}

void complete_attention_parameters(TrainConfig& config) {
  for (const auto& [name, value] : attention_parameters(config))
    config.attention.parameters[name] = std::visit([](const auto& v) { return nlohmann::json(v); }, value);
  fill_in_plugin(config);
  MaskedRows& masked_rows = config.model.masked_rows;
  if (!config.task.mask_zero_tokens) {
    masked_rows = MaskedRows::kKeep;  // there are none
  } else if (masked_rows == MaskedRows::kAuto) {
    masked_rows = why_rows_stay(config).empty() ? MaskedRows::kDrop : MaskedRows::kKeep;
  }
}

void fit_attention_parameters(TrainConfig& config, int64_t most_tokens) {
  for (const auto& [name, value] : attention::fitting_parameters(attention::find(config.attention.name).facts(),
                                                                 config.model.max_rows(), most_tokens))
    config.attention.parameters[name] = std::visit([](const auto& v) { return nlohmann::json(v); }, value);
}

int64_t softmax_model_parameters(const TrainConfig& config, const TaskShape& task) {
  TrainConfig softmax = config;
  softmax.attention = {.name = "softmax"};
  // Any length declares the same parameters; the shortest plan is the cheapest.
  return Model(softmax, task, engine::Dtype::f32, engine::Kernels::plain).parameters().learned_elements();
}

Model::Model(const TrainConfig& config, const TaskShape& task, engine::Dtype dtype, engine::Kernels kernels)
    : config_(config),
      task_(task),
      dtype_(dtype),
      kernels_(kernels),
      mechanism_(attention::find(config.attention.name)),
      facts_(mechanism_.facts()),
      attention_parameters_(harness::attention_parameters(config)) {
  check_attention(config);
  if (config.model.vocab_rows > 0 && config.model.vocab_rows < task.vocab_size)
    throw UsageError(
        fmt::format("[model.vocab_rows] {} is below the task's {} token ids", config.model.vocab_rows, task.vocab_size),
        "raise model.vocab_rows, or set it to 0 to take the task's own number");
  if (config.model.input == InputForm::kReal && !task.image)
    throw UsageError(fmt::format("[model.input] the tokens of {} are no pixels", config.task.name),
                     "leave model.input = tokens");
  // Declares every parameter, so that their set is known before the first plan.
  const int64_t rows = rows_for(1);
  const ModelSpec spec{config_, task_, mechanism_, facts_, attention_parameters_};
  const auto declare = [&](Part part) {
    engine::Graph graph(dtype_, kernels_, parameters_);
    build_model(graph, spec, {.part = part, .rows = rows});
  };
  if (is_pair()) {
    declare(Part::encoder);
    declare(Part::head);
  } else {
    declare(Part::classifier);
  }
}

bool Model::runs_padded() const {
  return facts_.length_semantics == attention::LengthSemantics::padded || config_.model.pooling == Pooling::kMeanPadded;
}

int64_t Model::rows_for(int64_t length) const {
  if (runs_padded()) return max_rows();
  const int64_t rows = std::max<int64_t>(length, 1) + (has_cls() ? 1 : 0);
  return std::min((rows + kBucketRows - 1) / kBucketRows * kBucketRows, max_rows());
}

std::unique_ptr<const engine::Plan> Model::make_plan(const PlanKey& key) {
  // The graph declares its parameters in a copy: all are known by now, and planning may run beside other threads.
  engine::Parameters known = parameters_;
  return attention::while_planning(mechanism_, [&] {
    engine::Graph graph(dtype_, kernels_, known);
    build_model(graph, {config_, task_, mechanism_, facts_, attention_parameters_},
                {.part = key.part,
                 .rows = key.rows,
                 .training = key.mode == Mode::train,
                 .gradients = key.mode == Mode::train,
                 .activations = activations_});
    LRA_CHECK(known.count() == parameters_.count(), "a graph declared parameters that others do not have");
    return std::make_unique<const engine::Plan>(graph);
  });
}

void Model::set_activations(engine::Activations activations) {
  if (activations == activations_) return;
  activations_ = activations;
  const std::lock_guard lock(mutex_);
  std::erase_if(plans_, [](const auto& entry) { return entry.first.mode == Mode::train; });
}

const engine::Plan& Model::plan(const PlanKey& key) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = plans_.find(key); found != plans_.end()) return *found->second;
  }
  std::unique_ptr<const engine::Plan> made = make_plan(key);
  const std::lock_guard lock(mutex_);
  return *plans_.try_emplace(key, std::move(made)).first->second;
}

ModelFlops Model::flops(int64_t length) const {
  ModelFlops sum = head_flops();
  for (int input = 0; input < task_.inputs_per_example; ++input) sum = sum + encoder_flops(length);
  return sum;
}

ModelFlops Model::head_flops() const {
  const ModelConfig& m = config_.model;
  int64_t forward = 0, width = m.d_model * (is_pair() ? pair_parts(m.pair_features) : 1);
  for (const int64_t hidden : classifier_widths(m)) {
    forward += 2 * width * hidden;
    width = hidden;
  }
  forward += 2 * width * task_.num_classes;
  return {.forward = forward, .backward = 2 * forward};
}

ModelFlops Model::encoder_flops(int64_t length) const {
  const ModelConfig& m = config_.model;
  const int64_t n = length + (has_cls() ? 1 : 0), inner = m.heads * m.d_head;
  int64_t dense = 2 * 2 * n * m.d_model * m.d_ffn;  // of a layer, outside its mechanism
  if (dynamic_cast<const attention::Attention*>(&mechanism_) != nullptr) {
    const int64_t projections = facts_.projections == attention::Projections::shared_qk ? 3 : 4;
    dense += projections * 2 * n * m.d_model * inner;
  }
  const attention::ProblemSize size = problem_size(config_, n);
  const int64_t forward = facts_.forward_flops ? facts_.forward_flops(size, attention_parameters_) : 0;
  const int64_t backward = facts_.backward_flops ? facts_.backward_flops(size, attention_parameters_) : 2 * forward;
  return {.forward = m.layers * (dense + forward), .backward = m.layers * (2 * dense + backward)};
}

}  // namespace lra::harness
