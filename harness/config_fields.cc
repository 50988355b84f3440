// The list of configuration keys: each one's place, unit, range and meaning, once.
#include <fmt/format.h>

#include <cmath>

#include "engine/errors.h"
#include "harness/config.h"

namespace lra::harness {
namespace {

using Json = nlohmann::json;

/// The largest integer that JSON readers everywhere keep exactly.
constexpr double kExactIntegers = 9007199254740991.0;

struct Range {
  double minimum = 0;
  double maximum = 0;
};

struct Traits {
  std::string unit = {};
  bool hashed = true;
  bool assignable = true;
  std::vector<Json> unsaid = {""};
};

/// Non-finite numbers have no JSON form.
std::string shown(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_float() ? fmt::format("{}", value.get<double>()) : value.dump();
}

[[noreturn]] void refuse(const std::string& key, const Json& value, const std::string& problem,
                         const std::string& hint) {
  throw UsageError(fmt::format("[{}] {} {}", key, shown(value), problem), hint);
}

/// A finite number within `range`. Throws: UsageError.
double checked_number(const std::string& key, const Json& value, Range range) {
  const std::string between = fmt::format("give a number from {} to {}", range.minimum, range.maximum);
  if (!value.is_number()) refuse(key, value, "is not a number", between);
  const auto number = value.get<double>();
  if (!std::isfinite(number)) refuse(key, value, "is not a finite number", between);
  if (number < range.minimum) refuse(key, value, fmt::format("is below the minimum {}", range.minimum), between);
  if (number > range.maximum) refuse(key, value, fmt::format("is above the maximum {}", range.maximum), between);
  return number;
}

/// Collects the fields of one section; `section` reaches it in a TrainConfig.
class FieldList {
 public:
  /// `place(config)` is a reference to the value.
  template <class Place>
  void integer(std::string key, Place place, Range range, std::string help, Traits traits = {}) {
    ConfigField& field = add(std::move(key), "integer", std::move(help), traits);
    field.minimum = range.minimum;
    field.maximum = range.maximum;
    field.get = [place](const TrainConfig& config) { return Json(place(config)); };
    field.set = [place, range, name = field.key](TrainConfig& config, const Json& value) {
      const double number = checked_number(name, value, range);
      if (number != std::floor(number)) refuse(name, value, "is not a whole number", "write it without a fraction");
      using Integer = std::remove_reference_t<decltype(place(config))>;
      place(config) = static_cast<Integer>(number);
    };
  }

  template <class Place>
  void number(std::string key, Place place, Range range, std::string help, Traits traits = {}) {
    ConfigField& field = add(std::move(key), "number", std::move(help), traits);
    field.minimum = range.minimum;
    field.maximum = range.maximum;
    field.get = [place](const TrainConfig& config) { return Json(place(config)); };
    field.set = [place, range, name = field.key](TrainConfig& config, const Json& value) {
      place(config) = checked_number(name, value, range);
    };
  }

  template <class Place>
  void boolean(std::string key, Place place, std::string help, Traits traits = {}) {
    ConfigField& field = add(std::move(key), "boolean", std::move(help), traits);
    field.get = [place](const TrainConfig& config) { return Json(place(config)); };
    field.set = [place, name = field.key](TrainConfig& config, const Json& value) {
      if (!value.is_boolean()) refuse(name, value, "is neither true nor false", fmt::format("--set {}=true", name));
      place(config) = value.get<bool>();
    };
  }

  template <class Place>
  void choice(std::string key, Place place, std::string help, Traits traits = {}) {
    using Enum = std::remove_cvref_t<decltype(place(std::declval<TrainConfig&>()))>;
    ConfigField& field = add(std::move(key), "choice", std::move(help), traits);
    constexpr auto kNames = names_of(Enum{});
    field.choices.assign(kNames.begin(), kNames.end());
    field.get = [place](const TrainConfig& config) { return Json(to_text(place(config))); };
    field.set = [place, name = field.key, choices = field.choices](TrainConfig& config, const Json& value) {
      for (size_t i = 0; i < choices.size(); ++i) {
        if (value.is_string() && value.get_ref<const std::string&>() == choices[i]) {
          place(config) = static_cast<Enum>(i);
          return;
        }
      }
      refuse(name, value, "is not one of its values", suggest(shown(value), choices));
    };
  }

  template <class Place>
  void text(std::string key, Place place, std::string help, Traits traits = {}) {
    ConfigField& field = add(std::move(key), "text", std::move(help), traits);
    field.get = [place](const TrainConfig& config) { return Json(place(config)); };
    field.set = [place, name = field.key](TrainConfig& config, const Json& value) {
      if (!value.is_string()) refuse(name, value, "is not a text", "put it in quotes");
      place(config) = value.get<std::string>();
    };
  }

  std::vector<ConfigField> take() { return std::move(fields_); }

 private:
  ConfigField& add(std::string key, std::string kind, std::string help, const Traits& traits) {
    ConfigField& field = fields_.emplace_back();
    field.key = std::move(key);
    field.kind = std::move(kind);
    field.help = std::move(help);
    field.unit = traits.unit;
    field.hashed = traits.hashed;
    field.assignable = traits.assignable;
    field.unsaid = traits.unsaid;
    return field;
  }

  std::vector<ConfigField> fields_;
};

// A place works on const and mutable configurations alike.
#define LRA_AT(member) ([](auto& config) -> auto& { return config.member; })

constexpr Range kStd = {0, 100};
constexpr Range kWidth = {1, 65536};
constexpr Range kWidthOrDerived = {0, 65536};
constexpr Range kDropout = {0, 0.99};
constexpr Range kSteps = {1, 1e9};
constexpr Range kStepsOrNever = {0, 1e9};

void list_run(FieldList& list) {
  list.text("preset", LRA_AT(preset), "the preset these values came from (--preset)",
            {.hashed = false, .assignable = false});
  list.integer("sequence_length", LRA_AT(sequence_length), {1, 1 << 24},
               "nominal n: longer sequences are cut to it (also --length)", {.unit = "tokens"});
  list.integer("seed", LRA_AT(seed), {0, kExactIntegers}, "seed of every random stream (also --seed)",
               {.hashed = false});
  list.text("task.name", LRA_AT(task.name), "the task (--task)", {.assignable = false});
  list.choice(
      "task.split_policy", LRA_AT(task.split_policy),
      "of data without validation examples; holdout: a tenth of train; paper: as the literature, even the test split");
  list.boolean("task.mask_zero_tokens", LRA_AT(task.mask_zero_tokens),
               "treat every 0 as padding, black pixels included, as the code of LRA, Nystromformer and Skyformer does; "
               "that of S4 does not");
  list.text("attention.name", LRA_AT(attention.name), "the mechanism (--attention)", {.assignable = false});
  list.text("attention.plugin", LRA_AT(attention.plugin),
            "file name of the plug-in that the mechanism comes from, filled in from it (--plugin)",
            {.hashed = false, .assignable = false});
  list.text("attention.plugin_sha256", LRA_AT(attention.plugin_sha256), "SHA-256 of that file, likewise (--plugin)",
            {.hashed = false, .assignable = false});
  list.boolean("attention.causal", LRA_AT(attention.causal), "let a position see only itself and earlier ones");
}

void list_model_sizes(FieldList& list) {
  list.integer("model.layers", LRA_AT(model.layers), {1, 1024}, "encoder blocks");
  list.integer("model.d_model", LRA_AT(model.d_model), kWidth, "width of the residual stream");
  list.integer("model.heads", LRA_AT(model.heads), {1, 1024}, "attention heads");
  list.integer("model.d_head", LRA_AT(model.d_head), kWidthOrDerived, "width of one head; 0: d_model / heads");
  list.integer("model.d_ffn", LRA_AT(model.d_ffn), kWidth, "width of the feed-forward layer");
  list.integer("model.d_classifier", LRA_AT(model.d_classifier), kWidthOrDerived,
               "width of the classifier's hidden layer; 0: d_ffn");
  list.integer("model.classifier_layers", LRA_AT(model.classifier_layers), {1, 2},
               "hidden layers of the classifier; the second has half the width of the first", {.unsaid = {1}});
  list.integer("model.vocab_rows", LRA_AT(model.vocab_rows), {0, 1 << 24},
               "rows of the embedding table; 0: the task's vocabulary", {.unit = "tokens"});
  list.integer("model.nominal_length", LRA_AT(model.nominal_length), {0, 1 << 24},
               "rows of the position table and the n of mechanisms defined over a fixed n; 0: from sequence_length",
               {.unit = "tokens"});
  list.choice("model.nominal_rounding", LRA_AT(model.nominal_rounding),
              "how sequence_length, with a CLS token, is rounded up when nominal_length is 0");
}

void list_model_form(FieldList& list) {
  list.choice("model.gelu", LRA_AT(model.gelu), "exact, or the tanh approximation");
  list.number("model.dropout", LRA_AT(model.dropout), kDropout, "after embedding, attention and feed-forward layers",
              {.unit = "probability"});
  list.number("model.attention_dropout", LRA_AT(model.attention_dropout), kDropout, "on attention weights",
              {.unit = "probability"});
  list.choice("model.positions", LRA_AT(model.positions), "position vectors, added to the embeddings");
  list.number("model.position_init_std", LRA_AT(model.position_init_std), kStd,
              "standard deviation of learned positions at the start");
  list.number("model.embedding_init_std", LRA_AT(model.embedding_init_std), kStd,
              "standard deviation of token embeddings at the start");
  list.choice("model.input", LRA_AT(model.input),
              "tokens: a vector for each id; real: pixels as numbers, (v / 255 - mean) / stddev, through a linear "
              "layer, as the code of S4 has it, with task.mask_zero_tokens=false",
              {.unsaid = {"tokens"}});
  list.choice("model.masked_rows", LRA_AT(model.masked_rows),
              "of tokens that task.mask_zero_tokens masks; drop: left out of every array, the same function for less "
              "work; auto: drop where the mechanism and the pooling allow it",
              {.unsaid = {"keep", "auto"}});  // auto is settled before a run is named
  list.boolean("model.projection_bias", LRA_AT(model.projection_bias), "biases in the q, k, v and output projections");
  list.choice("model.projection_init", LRA_AT(model.projection_init),
              "of the q, k, v and output projections; torch_linear: weights and biases uniform in +-1/sqrt(fan in)");
  list.choice("model.ffn_init", LRA_AT(model.ffn_init), "of the feed-forward layers");
  list.number("model.mlp_bias_init_std", LRA_AT(model.mlp_bias_init_std), kStd,
              "standard deviation of feed-forward biases at the start, unless ffn_init is torch_linear");
  list.choice("model.classifier_init", LRA_AT(model.classifier_init),
              "of the classifier's layers; lecun_normal: variance 1/fan in, cut at two standard deviations");
  list.choice("model.pooling", LRA_AT(model.pooling),
              "cls: a learned vector put in front (LRA's code); mean: over real tokens; mean_nominal: their sum / "
              "nominal_length (Nystromformer, Skyformer); mean_padded: over all nominal_length positions, padding "
              "included (LRA's code for images)");
  list.choice("model.pair_features", LRA_AT(model.pair_features),
              "what the classifier of two sequences reads; concat: [a, b]; nli: [a, b, a * b, a - b]",
              {.unsaid = {"nli"}});
  list.number("model.layer_norm_epsilon", LRA_AT(model.layer_norm_epsilon), {1e-12, 1}, "added to the variance");
}

void list_schedule(FieldList& list) {
  list.integer("train.steps", LRA_AT(train.steps), kSteps, "optimiser steps", {.unit = "steps"});
  list.integer("train.batch_size", LRA_AT(train.batch_size), {1, 1 << 20}, "examples of one step",
               {.unit = "examples"});
  list.number("train.learning_rate", LRA_AT(train.learning_rate), {0, 1000},
              "the schedule's base; its peak, except for rsqrt");
  list.choice(
      "train.schedule", LRA_AT(train.schedule),
      "rsqrt: base * min(1, s/w) / sqrt(max(s, w)); cosine: warm-up, then cycles; onecycle_linear: up, then down");
  list.integer("train.warmup_steps", LRA_AT(train.warmup_steps), kStepsOrNever, "w: linear rise from 0",
               {.unit = "steps"});
  list.integer("train.steps_per_cycle", LRA_AT(train.steps_per_cycle), kSteps, "of schedule cosine", {.unit = "steps"});
  list.number("train.onecycle_div", LRA_AT(train.onecycle_div), {1, 1e12}, "onecycle_linear starts at base / this");
  list.number("train.onecycle_final_div", LRA_AT(train.onecycle_final_div), {1, 1e12},
              "onecycle_linear ends at base / onecycle_div / this");
  list.boolean("train.cycle_momentum", LRA_AT(train.cycle_momentum),
               "onecycle_linear moves beta1 from 0.95 down to 0.85 and back while the rate rises and falls");
}

void list_optimizer(FieldList& list) {
  list.choice("train.optimizer", LRA_AT(train.optimizer),
              "adam: weight decay is added to the gradient; adamw: it is decoupled (p -= rate * decay * p)");
  list.number("train.beta1", LRA_AT(train.beta1), {0, 0.999999}, "decay of the first moment");
  list.number("train.beta2", LRA_AT(train.beta2), {0, 0.999999999}, "decay of the second moment");
  list.number("train.epsilon", LRA_AT(train.epsilon), {1e-16, 1}, "added outside the square root");
  list.number("train.weight_decay", LRA_AT(train.weight_decay), {0, 100}, "on every parameter");
  list.number("train.clip_norm", LRA_AT(train.clip_norm), {0, 1e9}, "largest global gradient norm; 0: no clipping");
  list.number("train.clip_value", LRA_AT(train.clip_value), {0, 1e9}, "largest gradient element; 0: no clipping");
  list.integer("train.lanes", LRA_AT(train.lanes), {1, 1024}, "gradient lanes a batch is dealt to; changes rounding");
  list.choice("train.kernels", LRA_AT(train.kernels), "fused: production kernels; plain: the readable ones");
}

void list_rhythm(FieldList& list) {
  list.choice("train.selection", LRA_AT(train.selection), "the checkpoint that is tested");
  list.integer("train.eval_every", LRA_AT(train.eval_every), kStepsOrNever,
               "evaluate on validation; 0: at the end only", {.unit = "steps"});
  list.integer("train.checkpoint_every", LRA_AT(train.checkpoint_every), kStepsOrNever,
               "write a checkpoint to resume from; 0: at the end only", {.unit = "steps", .hashed = false});
  list.integer("train.log_every", LRA_AT(train.log_every), kSteps, "write the training loss to metrics.jsonl",
               {.unit = "steps", .hashed = false});
  list.text("train.init_from", LRA_AT(train.init_from),
            "safetensors file of the weights to start from (--init-from); empty: drawn from the seed",
            {.hashed = false, .assignable = false});
  list.text("train.init_sha256", LRA_AT(train.init_sha256), "SHA-256 of that file, filled in from it (--init-from)",
            {.assignable = false});
}
#undef LRA_AT

}  // namespace

const std::vector<ConfigField>& config_fields() {
  static const std::vector<ConfigField> fields = [] {
    FieldList list;
    list_run(list);
    list_model_sizes(list);
    list_model_form(list);
    list_schedule(list);
    list_optimizer(list);
    list_rhythm(list);
    return list.take();
  }();
  return fields;
}

}  // namespace lra::harness
