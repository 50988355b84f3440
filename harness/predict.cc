#include "harness/predict.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <numeric>

#include "attention/plugin_guard.h"
#include "engine/autodiff.h"
#include "engine/errors.h"
#include "engine/lanes.h"
#include "engine/plan.h"
#include "harness/memory.h"
#include "harness/model/encoder.h"
#include "reports/units.h"

namespace lra::harness {
namespace {

using engine::Dtype;
using engine::Var;
using Plans = std::map<int64_t, std::unique_ptr<const engine::Plan>>;  // by rows

int64_t examples_of(const PredictRequest& request) { return static_cast<int64_t>(request.tokens.size()) / request.n; }

/// A row's tokens without the trailing zeros.
std::span<const int64_t> sequence(const PredictRequest& request, int64_t example) {
  const auto row = std::span(request.tokens).subspan(static_cast<size_t>(example * request.n));
  auto length = static_cast<size_t>(request.n);
  while (length > 0 && row[length - 1] == 0) --length;
  return row.first(length);
}

/// What a prediction allocates.
struct Sizes {
  int threads = 1;
  int64_t lanes = 0;  // of gradients; 0 without them
  int64_t arena_bytes = 0, constant_bytes = 0, flat_bytes = 0;
};

void refuse_if_too_large(const Sizes& sizes, int64_t limit_bytes) {
  const int64_t limit = limit_bytes > 0 ? limit_bytes : available_memory_bytes();
  const int64_t arenas = sizes.arena_bytes * sizes.threads, gradients = sizes.lanes * sizes.flat_bytes;
  const int64_t total = arenas + gradients + sizes.flat_bytes + sizes.constant_bytes;
  if (total <= limit) return;
  const auto text = [](int64_t bytes) { return reports::format_bytes(bytes); };
  throw ResourceError(
      fmt::format("[memory] the prediction needs {} and {} are available: {} arenas ({} threads), {} lane gradients, "
                  "{} weights, {} constants",
                  text(total), text(limit), text(arenas), sizes.threads, text(gradients), text(sizes.flat_bytes),
                  text(sizes.constant_bytes)),
      "lower --threads, give shorter sequences, or use --dtype f32 --kernels fused");
}

/// Everything that the examples run on, in the dtype of the graph.
template <class T>
class Execution {
 public:
  Execution(const Model& model, const PredictRequest& request, const Plans& plans, std::span<const double> weights,
            const Sizes& sizes)
      : model_(model), request_(request), plans_(plans), weights_(weights.begin(), weights.end()) {
    for (int i = 0; i < sizes.threads; ++i) arenas_.emplace_back(sizes.arena_bytes);
    gradients_.assign(static_cast<size_t>(sizes.lanes), std::vector<T>(weights.size()));
    const auto examples = static_cast<size_t>(examples_of(request));
    result_.logits.resize(examples * static_cast<size_t>(model.task().num_classes));
    if (!request.labels.empty()) result_.losses.resize(examples);
  }

  void run_example(int64_t example, int64_t lane, int worker) {
    const std::span<const int64_t> given = sequence(request_, example);
    const auto rows = static_cast<size_t>(model_.rows_for(static_cast<int64_t>(given.size())));
    const size_t cls = model_.has_cls() ? 1 : 0;
    std::vector<int32_t> tokens(rows - cls, 0);
    std::vector<T> mask(rows, T{0});
    const bool zeros_masked = model_.config().task.mask_zero_tokens;
    for (size_t i = 0; i < given.size(); ++i) {
      tokens[i] = static_cast<int32_t>(given[i]);
      mask[cls + i] = zeros_masked && given[i] == 0 ? T{0} : T{1};
    }
    if (cls == 1) mask[0] = mask[1];  // as in training
    const bool labelled = !request_.labels.empty();
    auto label = static_cast<int32_t>(labelled ? request_.labels[static_cast<size_t>(example)] : 0);
    T weight = T{1} / static_cast<T>(examples_of(request_));
    void* inputs[] = {tokens.data(), mask.data(), &label, &weight};
    const engine::Plan& plan = *plans_.at(static_cast<int64_t>(rows));
    const engine::Bindings bindings{
        .arena = arenas_[static_cast<size_t>(worker)].data(),
        .parameters = weights_.data(),
        .gradients = request_.gradients ? gradients_[static_cast<size_t>(lane)].data() : nullptr,
        .inputs = inputs,
        .keys = {.seed = model_.config().seed, .example = static_cast<uint32_t>(example)}};
    plan.run(bindings);
    const engine::View logits = plan.output(port::kLogits, bindings);
    std::copy_n(logits.as<T>(), logits.shape().elements(),
                result_.logits.begin() + example * logits.shape().elements());
    if (labelled) result_.losses[static_cast<size_t>(example)] = *plan.output(port::kLoss, bindings).template as<T>();
  }

  /// Lanes are added in order, whoever ran them.
  Prediction finish() {
    for (size_t lane = 1; lane < gradients_.size(); ++lane)
      std::transform(gradients_[0].begin(), gradients_[0].end(), gradients_[lane].begin(), gradients_[0].begin(),
                     std::plus<>());
    if (!gradients_.empty()) result_.gradients.assign(gradients_[0].begin(), gradients_[0].end());
    const int64_t classes = model_.task().num_classes;
    for (size_t example = 0; example < request_.labels.size(); ++example) {
      const auto begin = result_.logits.begin() + static_cast<int64_t>(example) * classes;
      result_.correct += std::max_element(begin, begin + classes) - begin == request_.labels[example] ? 1 : 0;
    }
    return std::move(result_);
  }

 private:
  const Model& model_;
  const PredictRequest& request_;
  const Plans& plans_;
  std::vector<T> weights_;
  std::vector<std::vector<T>> gradients_;  // by lane
  std::vector<engine::Arena> arenas_;      // by worker
  Prediction result_;
};

}  // namespace

double Prediction::mean_loss() const {
  return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
}

Predictor::Predictor(const TrainConfig& config, const TaskShape& task, Dtype dtype, engine::Kernels kernels)
    : model_(config, task, dtype, kernels), dtype_(dtype), kernels_(kernels) {}

/// The inference graph, and what carries its loss back: not the training graph, which may drop and sample.
std::unique_ptr<const engine::Plan> Predictor::make_plan(int64_t rows, bool gradients) const {
  engine::Parameters known = model_.parameters();
  engine::Graph graph(dtype_, kernels_, known);
  return attention::while_planning(model_.mechanism(), [&] {
    build_classifier(
        graph,
        {model_.config(), model_.task(), model_.mechanism(), model_.attention_facts(), model_.attention_parameters()},
        rows, Mode::infer);
    if (gradients) {
      const auto loss = std::find_if(graph.outputs().begin(), graph.outputs().end(),
                                     [](const auto& output) { return output.name == port::kLoss; });
      LRA_CHECK(loss != graph.outputs().end(), "the classifier has no loss");
      const Var output(&graph, loss->value);
      engine::add_gradients(output, graph.input(port::kLossWeight, output.type()));
    }
    return std::make_unique<const engine::Plan>(graph);
  });
}

void Predictor::check(const PredictRequest& request) const {
  const int64_t nominal = model_.config().model.nominal_length;
  if (request.tokens.empty() || request.n < 1)
    throw UsageError("[predict] there are no tokens", "the input is [examples, n], at least one of each");
  LRA_CHECK(static_cast<int64_t>(request.tokens.size()) % request.n == 0, "tokens are [examples, n]");
  if (request.n > nominal)
    throw UsageError(fmt::format("[predict] n = {} exceeds the model's nominal length {}", request.n, nominal),
                     "cut the sequences, or train with a larger --length");
  const int64_t examples = examples_of(request), vocabulary = task().vocab_size, classes = task().num_classes;
  for (int64_t i = 0; i < examples * request.n; ++i)
    if (const int64_t id = request.tokens[static_cast<size_t>(i)]; id < 0 || id >= vocabulary)
      throw DataError(fmt::format("[predict] example {} has the token {} at position {}; the vocabulary is 0..{}",
                                  i / request.n, id, i % request.n, vocabulary - 1),
                      "0 is padding; `lra list tasks --json` shows the sizes of the vocabularies");
  if (request.gradients && request.labels.empty())
    throw UsageError("[predict] gradients of the loss need labels", "give --labels y.npy");
  if (!request.labels.empty() && static_cast<int64_t>(request.labels.size()) != examples)
    throw UsageError(fmt::format("[predict] {} labels for {} examples", request.labels.size(), examples),
                     "labels are [examples], one for each row of the input");
  for (size_t i = 0; i < request.labels.size(); ++i)
    if (const int64_t label = request.labels[i]; label < 0 || label >= classes)
      throw DataError(fmt::format("[predict] example {} has the label {}; classes are 0..{}", i, label, classes - 1),
                      "labels count from 0");
}

template <class T>
Prediction Predictor::execute(const PredictRequest& request, std::span<const double> weights) const {
  const int64_t examples = examples_of(request), lanes = std::min(model_.config().train.lanes, examples);
  engine::Workers workers(static_cast<int>(std::min<int64_t>(request.threads, lanes)));
  std::vector<int64_t> lengths;
  Plans plans;
  for (int64_t i = 0; i < examples; ++i) {
    lengths.push_back(static_cast<int64_t>(sequence(request, i).size()));
    plans.try_emplace(model_.rows_for(lengths.back()));
  }
  std::vector<int64_t> buckets;
  for (const auto& [rows, plan] : plans) buckets.push_back(rows);
  workers.run_tasks(static_cast<int64_t>(buckets.size()), [&](int64_t task, int) {
    const int64_t rows = buckets[static_cast<size_t>(task)];
    plans.at(rows) = make_plan(rows, request.gradients);
  });
  Sizes sizes{.threads = workers.count(),
              .lanes = request.gradients ? lanes : 0,
              .flat_bytes = static_cast<int64_t>(weights.size() * sizeof(T))};
  for (const auto& [rows, plan] : plans) {
    sizes.arena_bytes = std::max(sizes.arena_bytes, plan->arena_bytes());
    sizes.constant_bytes += plan->constant_bytes();
  }
  refuse_if_too_large(sizes, request.memory_limit_bytes);
  Execution<T> execution(model_, request, plans, weights, sizes);
  const std::vector<std::vector<int32_t>> dealt = engine::deal(lengths, lanes);
  attention::while_running(model_.mechanism(), [&] {
    workers.run_tasks(lanes, [&](int64_t lane, int worker) {
      for (const int32_t example : dealt[static_cast<size_t>(lane)]) execution.run_example(example, lane, worker);
    });
  });
  return execution.finish();
}

Prediction Predictor::predict(const PredictRequest& request, std::span<const double> weights) const {
  check(request);
  LRA_CHECK(static_cast<int64_t>(weights.size()) == parameters().flat_elements(), "weights of another model");
  return dtype_ == Dtype::f64 ? execute<double>(request, weights) : execute<float>(request, weights);
}

}  // namespace lra::harness
