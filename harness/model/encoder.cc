#include "harness/model/encoder.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/autodiff.h"
#include "engine/errors.h"
#include "engine/ops/activations.h"
#include "engine/ops/cross_entropy.h"
#include "engine/ops/dropout.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/embedding.h"
#include "engine/ops/layer_norm.h"
#include "engine/ops/matmul.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"

namespace lra::harness {
namespace {

using engine::Graph;
using engine::Initializer;
using engine::Shape;
using engine::Var;

Initializer weight_initializer(Initialisation kind, int64_t fan_in, int64_t fan_out) {
  switch (kind) {
    case Initialisation::kXavierUniform:
      return engine::init_xavier_uniform(fan_in, fan_out);
    case Initialisation::kTorchLinear:
      return engine::init_torch_linear(fan_in);
    case Initialisation::kLecunNormal:
      return engine::init_normal(1.0 / std::sqrt(static_cast<double>(fan_in)));
  }
  return nullptr;
}

/// Builds one model; holds what every part needs.
class Builder {
 public:
  Builder(Graph& graph, const ModelSpec& spec, int64_t rows, Mode mode, engine::Activations activations)
      : graph_(graph),
        spec_(spec),
        model_(spec.config.model),
        rows_(rows),
        training_(mode == Mode::train),
        activations_(activations) {}

  void build() {
    const int64_t tokens_count = rows_ - (has_cls() ? 1 : 0);
    const Var tokens = graph_.input(port::kTokens, {engine::Dtype::i32, {tokens_count}});
    const Var mask = graph_.input(port::kMask, {graph_.dtype(), {rows_}});
    const Var label = graph_.input(port::kLabel, {engine::Dtype::i32, {1}});
    Var x = embed_tokens(tokens);
    std::map<std::string, Var> state;
    for (int64_t layer = 0; layer < model_.layers; ++layer) {
      graph_.set_segment(static_cast<int32_t>(layer) + 1);
      x = encoder_layer(layer, x, mask, state);
    }
    graph_.set_segment(0);
    scope("encoder.norm");
    x = norm("encoder.norm", x);
    const Var logits = head(pool(x, mask));
    scope("loss");
    const Var loss = engine::cross_entropy(logits, label).loss;
    graph_.mark_output(port::kLoss, loss);
    graph_.mark_output(port::kLogits, logits);
    if (training_) {
      const Var weight = graph_.input(port::kLossWeight, {graph_.dtype(), loss.shape()});
      engine::add_gradients(loss, weight, {}, activations_);
    }
  }

 private:
  bool has_cls() const { return model_.pooling == Pooling::kCls; }
  void scope(std::string name) { graph_.set_scope(std::move(name)); }
  double dropout_rate() const { return training_ ? model_.dropout : 0.0; }

  Var parameter(const std::string& name, const Shape& shape, const Initializer& initializer) {
    return graph_.parameter(graph_.parameters().declare(name, shape, initializer));
  }

  struct Affine {
    Var weight;
    Var bias;  // invalid without one
  };

  /// Parameters of an affine layer; biases follow the convention of its weights (PyTorch: uniform in the fan-in; Flax:
  /// N(0, std)).
  Affine affine_parameters(const std::string& name, int64_t in, int64_t out, Initialisation init, bool with_bias,
                           double bias_std, int64_t parts = 1) {
    const Var weight = parameter(name + ".weight", {in, out}, weight_initializer(init, in, out / parts));
    if (!with_bias) return {weight, Var()};
    const Initializer bias_init = init == Initialisation::kTorchLinear ? engine::init_torch_linear(in)
                                  : bias_std > 0                       ? engine::init_normal(bias_std)
                                                                       : engine::init_constant(0.0);
    return {weight, parameter(name + ".bias", {out}, bias_init)};
  }

  Var affine_layer(const std::string& name, Var x, int64_t out, Initialisation init, bool with_bias, double bias_std) {
    const Affine layer = affine_parameters(name, x.shape()[1], out, init, with_bias, bias_std);
    return engine::linear(x, layer.weight, layer.bias);
  }

  /// [rows, inner] each. Queries have a buffer of their own: they are read at other times than keys and values, by
  /// mechanisms that sum over those first; and at inference such keys and values live for one block of rows.
  std::vector<Var> projections(const std::string& name, Var x, int64_t parts, int64_t inner) {
    const Affine layer = affine_parameters(name, x.shape()[1], parts * inner, model_.projection_init,
                                           model_.projection_bias, 0.0, parts);
    const std::array<int64_t, 2> widths = {inner, (parts - 1) * inner};
    const std::vector<Var> made = engine::linear_parts(x, layer.weight, layer.bias, widths);
    std::vector<Var> projected = engine::split(made[1], static_cast<int>(parts) - 1, 1);
    projected.insert(projected.begin(), made[0]);
    return projected;
  }

  Var norm(const std::string& name, Var x) {
    const int64_t d = x.shape()[1];
    return engine::layer_norm(x, parameter(name + ".weight", {d}, engine::init_constant(1.0)),
                              parameter(name + ".bias", {d}, engine::init_constant(0.0)), model_.layer_norm_epsilon);
  }

  /// Sinusoids of Vaswani et al. 2017, section 3.5: sine in even columns, cosine in odd ones.
  Var sinusoids() {
    const int64_t d = model_.d_model;
    std::vector<double> table(static_cast<size_t>(rows_ * d));
    for (int64_t i = 0; i < rows_; ++i)
      for (int64_t j = 0; j < d; ++j) {
        const int64_t even = j / 2 * 2;
        const double angle =
            static_cast<double>(i) * std::exp(-std::log(10000.0) * static_cast<double>(even) / static_cast<double>(d));
        table[static_cast<size_t>(i * d + j)] = j % 2 == 0 ? std::sin(angle) : std::cos(angle);
      }
    return graph_.constant("sinusoids", {rows_, d}, std::move(table));
  }

  Var embed_tokens(Var tokens) {
    scope("embedding");
    const int64_t d = model_.d_model;
    const int64_t vocab_rows = model_.vocab_rows > 0 ? model_.vocab_rows : spec_.task.vocab_size;
    const bool learned = model_.positions == Positions::kLearned;
    const Var table =
        parameter("embedding.tokens.weight", {vocab_rows, d}, engine::init_normal(model_.embedding_init_std));
    Var positions;
    if (learned) {
      const int64_t table_rows = model_.nominal_length + (has_cls() ? 1 : 0);
      positions =
          parameter("embedding.positions.weight", {table_rows, d}, engine::init_normal(model_.position_init_std));
    }
    Var x;
    if (learned && !has_cls()) {
      x = engine::embed(table, positions, tokens);
    } else {
      x = engine::embedding(table, tokens);
      if (has_cls()) {
        const Var parts[] = {parameter("embedding.cls", {1, d}, engine::init_constant(0.0)), x};
        x = engine::concat(parts, 0);
      }
      x = engine::add(x, learned ? engine::slice(positions, 0, 0, rows_) : sinusoids());
    }
    return engine::dropout(x, dropout_rate(), engine::dropout_site("embedding", "sum"));
  }

  attention::Context context(int64_t layer, std::string name, std::map<std::string, Var>& state) {
    return {.graph = graph_,
            .scope = std::move(name),
            .layer = layer,
            .num_layers = model_.layers,
            .nominal_length = model_.nominal_length + (has_cls() ? 1 : 0),
            .training = training_,
            .causal = spec_.config.attention.causal,
            .attention_dropout = training_ ? model_.attention_dropout : 0.0,
            .seed = spec_.config.seed,
            .parameters = spec_.attention_parameters,
            .state = state};
  }

  Var attention_block(int64_t layer, const std::string& name, Var x, Var mask, std::map<std::string, Var>& state) {
    const attention::Context ctx = context(layer, name, state);
    if (const auto* mixer = dynamic_cast<const attention::Mixer*>(&spec_.mechanism)) return mixer->mix(ctx, x, mask);
    const auto& mechanism = dynamic_cast<const attention::Attention&>(spec_.mechanism);
    const int64_t inner = model_.heads * model_.d_head;
    const bool shared = spec_.facts.projections == attention::Projections::shared_qk;
    const std::vector<Var> projected = projections(name + (shared ? ".qv" : ".qkv"), x, shared ? 2 : 3, inner);
    const Var q = engine::split_heads(projected[0], model_.heads);
    const Var k = shared ? q : engine::split_heads(projected[1], model_.heads);
    const Var v = engine::split_heads(projected.back(), model_.heads);
    const Var attended = engine::merge_heads(mechanism.attend(ctx, q, k, v, mask));
    return affine_layer(name + ".out", attended, model_.d_model, model_.projection_init, model_.projection_bias, 0.0);
  }

  Var encoder_layer(int64_t layer, Var x, Var mask, std::map<std::string, Var>& state) {
    const std::string name = fmt::format("encoder.layers.{}", layer);
    scope(name + ".norm1");
    Var y = norm(name + ".norm1", x);
    scope(name + ".attention");
    y = attention_block(layer, name + ".attention", y, mask, state);
    x = engine::add_dropout(x, y, dropout_rate(), engine::dropout_site(name, "attention_out"));
    scope(name + ".norm2");
    y = norm(name + ".norm2", x);
    scope(name + ".ffn");
    y = affine_layer(name + ".ffn.in", y, model_.d_ffn, model_.ffn_init, true, model_.mlp_bias_init_std);
    y = engine::gelu_dropout(y, model_.gelu == Gelu::kErf ? engine::Gelu::erf : engine::Gelu::tanh, dropout_rate(),
                             engine::dropout_site(name, "ffn_hidden"));
    y = affine_layer(name + ".ffn.out", y, model_.d_model, model_.ffn_init, true, model_.mlp_bias_init_std);
    return engine::add_dropout(x, y, dropout_rate(), engine::dropout_site(name, "ffn_out"));
  }

  /// x: [rows, d] -> [1, d].
  Var pool(Var x, Var mask) {
    scope("pooling");
    if (has_cls()) return engine::slice(x, 0, 0, 1);
    const Var total = engine::matmul(engine::reshape(mask, {rows_, 1}), x, true, false);
    if (model_.pooling == Pooling::kMeanNominal)
      return engine::affine(total, 1.0 / static_cast<double>(model_.nominal_length), 0);
    return engine::divide(total, engine::clamp_min(engine::sum(mask, 0, true), 1.0));
  }

  /// [1, d] -> [classes].
  Var head(Var pooled) {
    scope("classifier");
    const Initialisation init = model_.classifier_init;
    const Var hidden = engine::relu(affine_layer("classifier.hidden", pooled, model_.d_classifier, init, true, 0.0));
    const Var logits = affine_layer("classifier.out", hidden, spec_.task.num_classes, init, true, 0.0);
    return engine::reshape(logits, {spec_.task.num_classes});
  }

  Graph& graph_;
  const ModelSpec& spec_;
  const ModelConfig& model_;
  int64_t rows_;
  bool training_;
  engine::Activations activations_;
};

}  // namespace

void build_classifier(engine::Graph& graph, const ModelSpec& spec, int64_t rows, Mode mode,
                      engine::Activations activations) {
  Builder(graph, spec, rows, mode, activations).build();
}

}  // namespace lra::harness
