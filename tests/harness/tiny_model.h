// A model small enough for finite differences, and examples of varied lengths.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <memory>
#include <string>
#include <vector>

#include "attention/registry.h"
#include "engine/errors.h"
#include "engine/random.h"
#include "harness/examples.h"
#include "harness/model/model.h"

namespace lra::harness::testing {

constexpr int64_t kVocabulary = 11, kClasses = 3;
constexpr int64_t kLongest = 150;  // tokens: three buckets
constexpr TaskShape kTask{.vocab_size = kVocabulary, .num_classes = kClasses};

/// Two layers of width 8, no dropout. Where parameters of the mechanism must divide the nominal length, that is rounded
/// up.
inline TrainConfig tiny_config(const std::string& attention, int64_t nominal_length, Pooling pooling = Pooling::kMean) {
  TrainConfig config;
  config.sequence_length = nominal_length;
  config.attention.name = attention;
  config.model = {.layers = 2,
                  .d_model = 8,
                  .heads = 2,
                  .d_head = 4,
                  .d_ffn = 12,
                  .dropout = 0,
                  .attention_dropout = 0,
                  .position_init_std = 0.3,
                  .embedding_init_std = 0.5,
                  .nominal_length = nominal_length,
                  .pooling = pooling,
                  .d_classifier = 10};
  const int64_t cls = pooling == Pooling::kCls ? 1 : 0;
  const std::vector<attention::ParameterSpec> parameters = attention::find(attention).facts().parameters;
  if (std::any_of(parameters.begin(), parameters.end(), [](const auto& spec) { return spec.divides_n; }))
    config.model.nominal_length =
        static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(nominal_length + cls))) - cls;
  // Numbers of tokens must not exceed the length, which is short here; and few of them are enough.
  fit_attention_parameters(config, 16);
  config.train = {.steps = 50, .batch_size = 8, .learning_rate = 1e-2, .cycle_momentum = false, .lanes = 4};
  return config;
}

inline std::vector<float> copy(std::span<const float> values) { return {values.begin(), values.end()}; }

/// Sequences of different lengths up to `longest`; the first token decides the label.
class VariedExamples final : public Examples {
 public:
  VariedExamples(int64_t count, int64_t longest, uint64_t seed) : times_copied_(static_cast<size_t>(count)) {
    engine::Stream stream(seed, engine::Purpose::data, "varied");
    for (int64_t i = 0; i < count; ++i) {
      // One of each extreme, the rest between.
      const int64_t length = i == 0   ? longest
                             : i == 1 ? 1
                                      : 1 + static_cast<int64_t>(stream.below(static_cast<uint64_t>(longest)));
      tokens_.emplace_back(static_cast<size_t>(length));
      for (int32_t& token : tokens_.back()) token = 1 + static_cast<int32_t>(stream.below(kVocabulary - 1));
    }
  }
  int64_t size() const override { return static_cast<int64_t>(tokens_.size()); }
  int64_t length(int64_t example, int) const override { return static_cast<int64_t>(of(example).size()); }
  int32_t label(int64_t example) const override { return of(example)[0] % static_cast<int32_t>(kClasses); }
  void copy_tokens(int64_t example, int, std::span<int32_t> tokens) const override {
    ++times_copied_[static_cast<size_t>(example)];
    std::fill(tokens.begin(), tokens.end(), 0);
    std::copy(of(example).begin(), of(example).end(), tokens.begin());
  }
  const std::vector<int32_t>& of(int64_t example) const { return tokens_[static_cast<size_t>(example)]; }
  std::vector<int32_t>& of(int64_t example) { return tokens_[static_cast<size_t>(example)]; }
  int times_copied(int64_t example) const { return times_copied_[static_cast<size_t>(example)]; }
  std::vector<int64_t> lengths() const {
    std::vector<int64_t> all;
    for (int64_t i = 0; i < size(); ++i) all.push_back(length(i, 0));
    return all;
  }

 private:
  std::vector<std::vector<int32_t>> tokens_;
  mutable std::vector<std::atomic<int>> times_copied_;
};

/// Examples whose data cannot be read any more after a while.
class FailingExamples final : public Examples {
 public:
  explicit FailingExamples(const Examples& examples) : examples_(examples) {}
  int64_t size() const override { return examples_.size(); }
  int64_t length(int64_t example, int input) const override { return examples_.length(example, input); }
  int32_t label(int64_t example) const override { return examples_.label(example); }
  void copy_tokens(int64_t example, int input, std::span<int32_t> tokens) const override {
    if (example % 3 == 0) throw DataError("gone");
    examples_.copy_tokens(example, input, tokens);
  }

 private:
  const Examples& examples_;
};

/// What one example does to a model: loss, logits, and in training the gradient of `loss_weight` times the loss.
struct Pass {
  double loss = 0;
  std::vector<double> logits;
  std::vector<double> gradients;  // flat, as Parameters lays them out
};

/// One sequence for run_pass.
struct Sequence {
  std::vector<int32_t> tokens;
  int32_t label = 0;
  engine::ExampleKeys keys{.seed = 3, .step = 5, .example = 7};
};

/// Runs a plan of T on one sequence at `rows` rows with these parameters (flat, in double), in poisoned memory.
template <class T>
Pass run_pass(Model& model, Mode mode, int64_t rows, const Sequence& sequence, const std::vector<double>& parameters,
              double loss_weight = 1) {
  const engine::Plan& plan = model.plan(rows, mode);
  const size_t cls = model.has_cls() ? 1 : 0;
  std::vector<int32_t> tokens(static_cast<size_t>(rows) - cls, 0);
  std::copy(sequence.tokens.begin(), sequence.tokens.end(), tokens.begin());
  std::vector<T> mask(static_cast<size_t>(rows), T{0});
  std::fill_n(mask.begin(), sequence.tokens.size() + cls, T{1});
  int32_t label = sequence.label;
  T weight = static_cast<T>(loss_weight);
  std::vector<T> flat(parameters.begin(), parameters.end()), gradients(parameters.size(), T{0});
  void* inputs[] = {tokens.data(), mask.data(), &label, &weight};
  engine::Arena arena(plan.arena_bytes());
  arena.poison();
  const engine::Bindings bindings{.arena = arena.data(),
                                  .parameters = flat.data(),
                                  .gradients = gradients.data(),
                                  .inputs = inputs,
                                  .keys = sequence.keys};
  plan.run(bindings);
  const engine::View logits = plan.output(port::kLogits, bindings);
  return {.loss = static_cast<double>(*plan.output(port::kLoss, bindings).as<T>()),
          .logits = {logits.as<T>(), logits.as<T>() + logits.shape().elements()},
          .gradients = {gradients.begin(), gradients.end()}};
}

/// Initial values of all parameters with noise on top, so that none is 0 or 1 by convention; rounded to f32.
inline std::vector<double> noisy_parameters(const Model& model, double noise = 0.2) {
  std::vector<double> flat(static_cast<size_t>(model.parameters().flat_elements()));
  model.parameters().initialize<double>(1, flat);
  engine::Stream stream(2, engine::Purpose::data, "noise");
  for (const engine::Parameter& parameter : model.parameters().list())
    for (int64_t i = 0; i < parameter.shape.elements(); ++i) {
      double& value = flat[static_cast<size_t>(parameter.offset + i)];
      value = static_cast<double>(static_cast<float>(value + noise * stream.normal()));
    }
  return flat;
}

/// The derivative at 0 of f(step), by central differences of fourth order: the error of simple ones, which grows with
/// the third derivative, shows next to an ill-conditioned inverse.
template <class F>
double slope(F&& f) {
  constexpr double kStep = 1e-5;  // twice that on each side must not meet a kink of ReLU
  return (8 * (f(kStep) - f(-kStep)) - (f(2 * kStep) - f(-2 * kStep))) / (12 * kStep);
}

inline Sequence random_sequence(int64_t length) {
  engine::Stream stream(4, engine::Purpose::data, "sequence");
  Sequence sequence{.tokens = std::vector<int32_t>(static_cast<size_t>(length)), .label = 1};
  for (int32_t& token : sequence.tokens) token = 1 + static_cast<int32_t>(stream.below(kVocabulary - 1));
  return sequence;
}

}  // namespace lra::harness::testing
