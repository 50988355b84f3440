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
#include "harness/model/example_pass.h"
#include "reports/units.h"

namespace lra::harness {
namespace {

using engine::Dtype;
using engine::Var;

/// By rows; the head's has none.
using Plans = std::map<int64_t, std::unique_ptr<const engine::Plan>>;
constexpr int64_t kHead = -1;

/// The request as examples: rows without their trailing zeros, but images whole, whose zeros are black.
class RequestExamples final : public Examples {
 public:
  RequestExamples(const PredictRequest& request, const TaskShape& task, bool drops_zeros)
      : request_(request),
        inputs_(task.inputs_per_example),
        has_pixels_(task.image.has_value()),
        drops_zeros_(drops_zeros) {}
  int inputs() const override { return inputs_; }
  int64_t size() const override { return static_cast<int64_t>(request_.tokens.size()) / request_.n / inputs_; }
  int64_t length(int64_t example, int input) const override {
    const std::span<const int64_t> real = real_tokens(example, input);
    return drops_zeros_ ? count_kept_tokens(real) : static_cast<int64_t>(real.size());
  }
  int32_t label(int64_t example) const override {
    return request_.labels.empty() ? 0 : static_cast<int32_t>(request_.labels[static_cast<size_t>(example)]);
  }
  void copy_tokens(int64_t example, int input, std::span<int32_t> tokens) const override {
    auto to = tokens.begin();
    for_tokens(example, input, [&](size_t, int64_t id) { *to++ = static_cast<int32_t>(id); });
    std::fill(to, tokens.end(), 0);
  }
  void copy_positions(int64_t example, int input, std::span<int32_t> positions) const override {
    auto to = positions.begin();
    for_tokens(example, input, [&](size_t place, int64_t) { *to++ = static_cast<int32_t>(place); });
  }

 private:
  std::span<const int64_t> real_tokens(int64_t example, int input) const {
    std::span<const int64_t> real = row(example, input);
    while (!has_pixels_ && !real.empty() && real.back() == 0) real = real.first(real.size() - 1);
    return real;
  }
  /// `use(place, id)` for each token that the model reads.
  template <class Use>
  void for_tokens(int64_t example, int input, Use&& use) const {
    const std::span<const int64_t> real = real_tokens(example, input);
    if (drops_zeros_) return for_kept_tokens(real, use);
    for (size_t place = 0; place < real.size(); ++place) use(place, real[place]);
  }
  std::span<const int64_t> row(int64_t example, int input) const {
    return std::span(request_.tokens)
        .subspan(static_cast<size_t>((example * inputs_ + input) * request_.n), static_cast<size_t>(request_.n));
  }

  const PredictRequest& request_;
  int inputs_;
  bool has_pixels_, drops_zeros_;
};

/// What a prediction allocates.
struct Sizes {
  int threads = 1;
  int64_t lanes = 0;                           // of gradients; 0 without them
  int64_t sequence_bytes = 0, head_bytes = 0;  // of one arena
  int sequences = 1;                           // of an example
  int64_t constant_bytes = 0, flat_bytes = 0;
  int64_t arena_bytes() const { return threads * (sequences * sequence_bytes + head_bytes); }
};

void refuse_if_too_large(const Sizes& sizes, int64_t limit_bytes) {
  const int64_t limit = limit_bytes > 0 ? limit_bytes : available_memory_bytes();
  const int64_t arenas = sizes.arena_bytes(), gradients = sizes.lanes * sizes.flat_bytes;
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
  Execution(const Model& model, const PredictRequest& request, const RequestExamples& examples, const Plans& plans,
            std::span<const double> weights, const Sizes& sizes)
      : model_(model), request_(request), examples_(examples), plans_(plans), weights_(weights.begin(), weights.end()) {
    for (int i = 0; i < sizes.threads; ++i) {
      Worker& worker = workers_.emplace_back(model);
      for (int input = 0; input < sizes.sequences; ++input) worker.arenas.emplace_back(sizes.sequence_bytes);
      worker.arenas.emplace_back(sizes.head_bytes);
    }
    gradients_.assign(static_cast<size_t>(sizes.lanes), std::vector<T>(weights.size()));
    const auto count = static_cast<size_t>(examples.size());
    result_.logits.resize(count * static_cast<size_t>(model.task().num_classes));
    if (!request.labels.empty()) result_.losses.resize(count);
  }

  void run_example(int64_t example, int64_t lane, int thread) {
    Worker& worker = workers_[static_cast<size_t>(thread)];
    worker.inputs.load(model_, examples_, example);
    worker.inputs.loss_weight = T{1} / static_cast<T>(examples_.size());
    ExamplePlans plans;
    ExampleMemory memory;
    for (size_t i = 0; i < worker.inputs.sequences.size(); ++i) {
      plans.sequences[i] = plans_.at(worker.inputs.sequences[i].rows).get();
      memory.sequences[i] = worker.arenas[i].data();
    }
    if (model_.is_pair()) plans.head = plans_.at(kHead).get();
    memory.head = worker.arenas.back().data();
    const engine::Bindings common{
        .parameters = weights_.data(),
        .gradients = request_.gradients ? gradients_[static_cast<size_t>(lane)].data() : nullptr,
        .keys = {.seed = model_.config().seed, .example = static_cast<uint32_t>(example)}};
    ExamplePass<T> pass(plans, memory, worker.inputs, common);
    pass.forward();
    if (request_.gradients) pass.backward();
    const std::span<const T> logits = pass.logits();
    std::copy(logits.begin(), logits.end(), result_.logits.begin() + example * model_.task().num_classes);
    if (!request_.labels.empty()) result_.losses[static_cast<size_t>(example)] = pass.loss();
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
  struct Worker {
    explicit Worker(const Model& model) : inputs(model) {}
    ExampleInputs<T> inputs;
    std::vector<engine::Arena> arenas;  // one for each sequence, the head's
  };
  const RequestExamples& examples_;
  const Plans& plans_;
  std::vector<T> weights_;
  std::vector<std::vector<T>> gradients_;  // by lane
  std::vector<Worker> workers_;
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
  const Part part = rows == kHead ? Part::head : model_.is_pair() ? Part::encoder : Part::classifier;
  return attention::while_planning(model_.mechanism(), [&] {
    build_model(
        graph,
        {model_.config(), model_.task(), model_.mechanism(), model_.attention_facts(), model_.attention_parameters()},
        {.part = part, .rows = rows, .gradients = gradients});
    return std::make_unique<const engine::Plan>(graph);
  });
}

void Predictor::check(const PredictRequest& request) const {
  const int64_t nominal = model_.config().model.nominal_length;
  if (request.tokens.empty() || request.n < 1)
    throw UsageError("[predict] there are no tokens", "the input is [examples, n], at least one of each");
  LRA_CHECK(static_cast<int64_t>(request.tokens.size()) % (request.n * task().inputs_per_example) == 0,
            "tokens are [examples, inputs, n]");
  if (request.n > nominal)
    throw UsageError(fmt::format("[predict] n = {} exceeds the model's nominal length {}", request.n, nominal),
                     "cut the sequences, or train with a larger --length");
  const int64_t row = request.n * task().inputs_per_example, vocabulary = task().vocab_size;
  const int64_t examples = static_cast<int64_t>(request.tokens.size()) / row, classes = task().num_classes;
  for (int64_t i = 0; i < examples * row; ++i)
    if (const int64_t id = request.tokens[static_cast<size_t>(i)]; id < 0 || id >= vocabulary)
      throw DataError(fmt::format("[predict] example {} has the token {} at position {}; the vocabulary is 0..{}",
                                  i / row, id, i % request.n, vocabulary - 1),
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
  const RequestExamples examples(request, task(), model_.drops_masked_rows());
  const int64_t lanes = std::min(model_.config().train.lanes, examples.size());
  engine::Workers workers(static_cast<int>(std::min<int64_t>(request.threads, lanes)));
  std::vector<int64_t> lengths;
  Plans plans;
  for (int64_t i = 0; i < examples.size(); ++i) {
    lengths.push_back(examples.tokens(i));
    for (int input = 0; input < examples.inputs(); ++input)
      plans.try_emplace(model_.rows_for(examples.length(i, input)));
  }
  if (model_.is_pair()) plans.try_emplace(kHead);
  std::vector<int64_t> wanted;
  for (const auto& [rows, plan] : plans) wanted.push_back(rows);
  workers.run_tasks(static_cast<int64_t>(wanted.size()), [&](int64_t task, int) {
    const int64_t rows = wanted[static_cast<size_t>(task)];
    plans.at(rows) = make_plan(rows, request.gradients);
  });
  Sizes sizes{.threads = workers.count(),
              .lanes = request.gradients ? lanes : 0,
              .sequences = examples.inputs(),
              .flat_bytes = static_cast<int64_t>(weights.size() * sizeof(T))};
  for (const auto& [rows, plan] : plans) {
    int64_t& bytes = rows == kHead ? sizes.head_bytes : sizes.sequence_bytes;
    bytes = std::max(bytes, plan->arena_bytes());
    sizes.constant_bytes += plan->constant_bytes();
  }
  refuse_if_too_large(sizes, request.memory_limit_bytes);
  Execution<T> execution(model_, request, examples, plans, weights, sizes);
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
