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
  Builder(Graph& graph, const ModelSpec& spec, const GraphForm& form)
      : graph_(graph),
        spec_(spec),
        model_(spec.config.model),
        form_(form),
        rows_(form.rows),
        training_(form.training) {}

  void build_classifier() {
    const Ports ports = encoder_ports();
    const Var label = label_port();
    classify(encode(ports), label, {});
  }

  void build_encoder() {
    const Ports ports = encoder_ports();
    const Var pooled = encode(ports);
    graph_.mark_output(port::kPooled, pooled);
    if (!form_.gradients) return;
    engine::add_gradients(pooled, graph_.input(port::kPooledGradient, pooled.type()), {}, form_.activations);
  }

  void build_head() {
    const Shape shape = {1, model_.d_model};
    const Var first = graph_.input(port::kFirst, {graph_.dtype(), shape});
    const Var second = graph_.input(port::kSecond, {graph_.dtype(), shape});
    const Var label = label_port();
    scope("classifier");
    std::vector<Var> features = {first, second};
    if (model_.pair_features == PairFeatures::kNli) {
      features.push_back(engine::multiply(first, second));
      features.push_back(engine::subtract(first, second));
    }
    const Var pair[] = {first, second};
    const std::vector<Var> gradients = classify(engine::concat(features, 1), label, pair);
    if (!form_.gradients) return;
    graph_.mark_output(port::kFirstGradient, gradients[0]);
    graph_.mark_output(port::kSecondGradient, gradients[1]);
  }

 private:
  /// What the encoder reads of a sequence.
  struct Ports {
    Var tokens, mask;
    Var positions;  // not valid() where row i stands at i
  };

  bool has_cls() const { return model_.has_cls(); }
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
  Var sinusoids(int64_t rows) {
    const int64_t d = model_.d_model;
    std::vector<double> table(static_cast<size_t>(rows * d));
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < d; ++j) {
        const int64_t even = j / 2 * 2;
        const double angle =
            static_cast<double>(i) * std::exp(-std::log(10000.0) * static_cast<double>(even) / static_cast<double>(d));
        table[static_cast<size_t>(i * d + j)] = j % 2 == 0 ? std::sin(angle) : std::cos(angle);
      }
    return graph_.constant("sinusoids", {rows, d}, std::move(table));
  }

  Var token_table() {
    const int64_t vocab_rows = model_.vocab_rows > 0 ? model_.vocab_rows : spec_.task.vocab_size;
    return parameter("embedding.tokens.weight", {vocab_rows, model_.d_model},
                     engine::init_normal(model_.embedding_init_std));
  }

  /// What a layer from one number to d makes of each pixel value v: ((v / 255 - mean) / stddev) w + b, [256, d]. There
  /// are fewer values than pixels.
  Var pixel_table() {
    constexpr int64_t kValues = 256;
    const tasks::ImageFacts& image = *spec_.task.image;
    std::vector<double> values(kValues);
    for (size_t v = 0; v < values.size(); ++v) values[v] = (static_cast<double>(v) / 255.0 - image.mean) / image.stddev;
    const Var column = graph_.constant("pixels", {kValues, 1}, std::move(values));
    return affine_layer("embedding.pixels", column, model_.d_model, Initialisation::kTorchLinear, true, 0.0);
  }

  Var embed_tokens(const Ports& ports) {
    scope("embedding");
    const int64_t d = model_.d_model;
    const bool learned = model_.positions == Positions::kLearned;
    const Var table = model_.input == InputForm::kReal ? pixel_table() : token_table();
    Var positions;
    if (learned) {
      positions = parameter("embedding.positions.weight", {model_.max_rows(), d},
                            engine::init_normal(model_.position_init_std));
    }
    Var x;
    if (learned && !has_cls()) {
      x = engine::embed(table, positions, ports.tokens, ports.positions);
    } else {
      x = engine::embedding(table, ports.tokens);
      if (has_cls()) {
        const Var parts[] = {parameter("embedding.cls", {1, d}, engine::init_constant(0.0)), x};
        x = engine::concat(parts, 0);
      }
      if (!learned) positions = sinusoids(ports.positions.valid() ? model_.max_rows() : rows_);
      x = engine::add(x, ports.positions.valid() ? engine::embedding(positions, ports.positions)
                                                 : engine::slice(positions, 0, 0, rows_));
    }
    return engine::dropout(x, dropout_rate(), engine::dropout_site("embedding", "sum"));
  }

  attention::Context context(int64_t layer, std::string name, const Ports& ports, std::map<std::string, Var>& state) {
    return {.graph = graph_,
            .scope = std::move(name),
            .layer = layer,
            .num_layers = model_.layers,
            .nominal_length = model_.max_rows(),
            .training = training_,
            .causal = spec_.config.attention.causal,
            .attention_dropout = training_ ? model_.attention_dropout : 0.0,
            .seed = spec_.config.seed,
            .parameters = spec_.attention_parameters,
            .state = state,
            .positions = ports.positions};
  }

  Var attention_block(int64_t layer, const std::string& name, Var x, const Ports& ports,
                      std::map<std::string, Var>& state) {
    const attention::Context ctx = context(layer, name, ports, state);
    if (const auto* mixer = dynamic_cast<const attention::Mixer*>(&spec_.mechanism))
      return mixer->mix(ctx, x, ports.mask);
    const auto& mechanism = dynamic_cast<const attention::Attention&>(spec_.mechanism);
    const int64_t inner = model_.heads * model_.d_head;
    const bool shared = spec_.facts.projections == attention::Projections::shared_qk;
    const std::vector<Var> projected = projections(name + (shared ? ".qv" : ".qkv"), x, shared ? 2 : 3, inner);
    const Var q = engine::split_heads(projected[0], model_.heads);
    const Var k = shared ? q : engine::split_heads(projected[1], model_.heads);
    const Var v = engine::split_heads(projected.back(), model_.heads);
    const Var attended = engine::merge_heads(mechanism.attend(ctx, q, k, v, ports.mask));
    return affine_layer(name + ".out", attended, model_.d_model, model_.projection_init, model_.projection_bias, 0.0);
  }

  Var encoder_layer(int64_t layer, Var x, const Ports& ports, std::map<std::string, Var>& state) {
    const std::string name = fmt::format("encoder.layers.{}", layer);
    scope(name + ".norm1");
    Var y = norm(name + ".norm1", x);
    scope(name + ".attention");
    y = attention_block(layer, name + ".attention", y, ports, state);
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

  Ports encoder_ports() {
    const int64_t tokens_count = rows_ - (has_cls() ? 1 : 0);
    Ports ports;
    ports.tokens = graph_.input(port::kTokens, {engine::Dtype::i32, {tokens_count}});
    ports.mask = graph_.input(port::kMask, {graph_.dtype(), {rows_}});
    if (spec_.config.drops_masked_rows())
      ports.positions = graph_.input(port::kPositions, {engine::Dtype::i32, {rows_}});
    return ports;
  }
  Var label_port() { return graph_.input(port::kLabel, {engine::Dtype::i32, {1}}); }

  /// -> [1, d].
  Var encode(const Ports& ports) {
    Var x = embed_tokens(ports);
    std::map<std::string, Var> state;
    for (int64_t layer = 0; layer < model_.layers; ++layer) {
      graph_.set_segment(static_cast<int32_t>(layer) + 1);
      x = encoder_layer(layer, x, ports, state);
    }
    graph_.set_segment(0);
    scope("encoder.norm");
    return pool(norm("encoder.norm", x), ports.mask);
  }

  /// Logits and loss of `features` [1, d]; the gradients with respect to `wrt`, if there are to be any.
  std::vector<Var> classify(Var features, Var label, std::span<const Var> wrt) {
    const Var logits = head(features);
    scope("loss");
    const Var loss = engine::cross_entropy(logits, label).loss;
    graph_.mark_output(port::kLoss, loss);
    graph_.mark_output(port::kLogits, logits);
    if (!form_.gradients) return {};
    return engine::add_gradients(loss, graph_.input(port::kLossWeight, loss.type()), wrt, form_.activations);
  }

  /// x: [rows, d] -> [1, d].
  Var pool(Var x, Var mask) {
    scope("pooling");
    if (has_cls()) return engine::slice(x, 0, 0, 1);
    if (model_.pooling == Pooling::kMeanPadded)
      return engine::affine(engine::sum(x, 0, true), 1.0 / static_cast<double>(rows_), 0);
    const Var total = engine::matmul(engine::reshape(mask, {rows_, 1}), x, true, false);
    if (model_.pooling == Pooling::kMeanNominal)
      return engine::affine(total, 1.0 / static_cast<double>(model_.nominal_length), 0);
    return engine::divide(total, engine::clamp_min(engine::sum(mask, 0, true), 1.0));
  }

  /// [1, d] -> [classes].
  Var head(Var features) {
    scope("classifier");
    const Initialisation init = model_.classifier_init;
    Var hidden = features;
    for (const int64_t width : classifier_widths(model_)) {
      const char* name = hidden == features ? "classifier.hidden" : "classifier.hidden2";
      hidden = engine::relu(affine_layer(name, hidden, width, init, true, 0.0));
    }
    const Var logits = affine_layer("classifier.out", hidden, spec_.task.num_classes, init, true, 0.0);
    return engine::reshape(logits, {spec_.task.num_classes});
  }

  Graph& graph_;
  const ModelSpec& spec_;
  const ModelConfig& model_;
  const GraphForm& form_;
  int64_t rows_;
  bool training_;
};

}  // namespace

void build_model(engine::Graph& graph, const ModelSpec& spec, const GraphForm& form) {
  Builder builder(graph, spec, form);
  switch (form.part) {
    case Part::classifier:
      return builder.build_classifier();
    case Part::encoder:
      return builder.build_encoder();
    case Part::head:
      return builder.build_head();
  }
}

std::vector<int64_t> classifier_widths(const ModelConfig& model) {
  std::vector<int64_t> widths = {model.d_classifier};
  if (model.classifier_layers == 2) widths.push_back(std::max<int64_t>(1, model.d_classifier / 2));
  return widths;
}

}  // namespace lra::harness
