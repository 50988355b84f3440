#include "harness/learner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>

#include "engine/errors.h"
#include "harness/memory.h"
#include "reports/units.h"

namespace lra::harness {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kChunkElements = 16384;  // of the flat arrays: what one worker updates at a time

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::vector<int64_t> rows_of(const Model& model, std::span<const int64_t> lengths) {
  std::set<int64_t> rows;
  for (const int64_t length : lengths) rows.insert(model.rows_for(length));
  return {rows.rbegin(), rows.rend()};  // longest first: they take longest to plan
}

engine::AdamParams adam_params(const OptimisationConfig& train) {
  return {.beta2 = train.beta2,
          .epsilon = train.epsilon,
          .weight_decay = train.weight_decay,
          .decay = train.optimizer == Optimizer::kAdam ? engine::Decay::l2 : engine::Decay::decoupled};
}

engine::Schedule schedule_of(const OptimisationConfig& train) {
  const auto kind = [&] {
    switch (train.schedule) {
      case Schedule::kRsqrt:
        return engine::ScheduleKind::rsqrt;
      case Schedule::kCosine:
        return engine::ScheduleKind::cosine;
      case Schedule::kOnecycleLinear:
        return engine::ScheduleKind::onecycle_linear;
      case Schedule::kConstant:
        break;
    }
    return engine::ScheduleKind::constant;
  }();
  return {.kind = kind,
          .base = train.learning_rate,
          .warmup_steps = train.warmup_steps,
          .total_steps = train.steps,
          .steps_per_cycle = train.steps_per_cycle,
          .onecycle_div = train.onecycle_div,
          .onecycle_final_div = train.onecycle_final_div,
          .cycle_momentum = train.cycle_momentum};
}

int64_t memory_limit(const LearnerOptions& options) {
  return options.memory_limit_bytes > 0 ? options.memory_limit_bytes : available_memory_bytes();
}

/// The forecast of plans that keep activations; where that is too much, of plans that make them again.
MemoryForecast settle(Model& model, engine::Workers& workers, const LearnerOptions& options,
                      std::span<const int64_t> train_lengths, std::span<const int64_t> infer_lengths) {
  const MemoryForecast kept = forecast(model, workers, train_lengths, infer_lengths);
  if (train_lengths.empty() || kept.total() <= memory_limit(options)) return kept;
  model.set_activations(engine::Activations::recomputed);
  return forecast(model, workers, train_lengths, infer_lengths);
}

void refuse_if_too_large(const MemoryForecast& memory, const LearnerOptions& options) {
  const int64_t limit = memory_limit(options);
  if (memory.total() <= limit) return;
  const auto text = [](int64_t bytes) { return reports::format_bytes(bytes); };
  throw ResourceError(
      fmt::format("[memory] the run needs {} and {} are available: {} arenas ({} threads), {} lane gradients, {} "
                  "weights and optimiser, {} constants",
                  text(memory.total()), text(limit), text(memory.arena_bytes), options.threads,
                  text(memory.lane_gradient_bytes), text(memory.parameter_bytes), text(memory.constant_bytes)),
      "lower --length or --threads (arenas), train.lanes (lane gradients), or model.layers and model.d_model");
}

}  // namespace

Tally& Tally::operator+=(const Tally& other) {
  loss_sum += other.loss_sum;
  correct += other.correct;
  examples += other.examples;
  tokens += other.tokens;
  executed_tokens += other.executed_tokens;
  return *this;
}

MemoryForecast forecast(Model& model, engine::Workers& workers, std::span<const int64_t> train_lengths,
                        std::span<const int64_t> infer_lengths) {
  struct Wanted {
    int64_t rows;
    Mode mode;
  };
  std::vector<Wanted> wanted;
  for (const int64_t rows : rows_of(model, train_lengths)) wanted.push_back({rows, Mode::train});
  for (const int64_t rows : rows_of(model, infer_lengths)) wanted.push_back({rows, Mode::infer});
  workers.run_tasks(static_cast<int64_t>(wanted.size()), [&](int64_t task, int) {
    model.plan(wanted[static_cast<size_t>(task)].rows, wanted[static_cast<size_t>(task)].mode);
  });
  MemoryForecast memory;
  int64_t arena = 0;
  for (const auto& [rows, mode] : wanted) {
    const engine::Plan& plan = model.plan(rows, mode);
    arena = std::max(arena, plan.arena_bytes());
    memory.constant_bytes += plan.constant_bytes();
  }
  const int64_t flat_bytes = model.parameters().flat_elements() * static_cast<int64_t>(sizeof(float));
  memory.arena_bytes = arena * workers.count();
  if (!train_lengths.empty()) memory.lane_gradient_bytes = flat_bytes * model.config().train.lanes;
  memory.parameter_bytes = flat_bytes * (train_lengths.empty() ? 1 : 4);
  return memory;
}

Learner::Learner(Model& model, const LearnerOptions& options, std::span<const int64_t> train_lengths,
                 std::span<const int64_t> infer_lengths)
    : model_(model),
      workers_(options.threads),
      forecast_(settle(model, workers_, options, train_lengths, infer_lengths)),
      adam_(adam_params(model.config().train)),
      schedule_(schedule_of(model.config().train)),
      rows_train_(rows_of(model, train_lengths)),
      rows_infer_(rows_of(model, infer_lengths)) {
  refuse_if_too_large(forecast_, options);
  const auto elements = static_cast<size_t>(model.parameters().flat_elements());
  const OptimisationConfig& train = model.config().train;
  weights_.resize(elements);
  model.parameters().initialize<float>(model.config().seed, weights_);
  if (!train_lengths.empty()) {
    gradient_.resize(elements);
    m_.resize(elements);
    v_.resize(elements);
    lane_gradients_.resize(static_cast<size_t>(train.lanes));
    for (engine::AlignedVector<float>& lane : lane_gradients_) lane.resize(elements);
    chunk_squares_.resize(elements / kChunkElements + 1);
  }
  lanes_.resize(static_cast<size_t>(train.lanes));
  const auto batch = static_cast<size_t>(train.batch_size);
  for (std::vector<int32_t>& lane : lanes_) lane.reserve(batch);
  order_.reserve(batch);
  lengths_.reserve(batch);
  outcomes_.reserve(batch);
  worker_.resize(static_cast<size_t>(options.threads));
  for (Worker& worker : worker_) {
    worker.arena = std::make_unique<engine::Arena>(forecast_.arena_bytes / options.threads);
    worker.tokens.resize(static_cast<size_t>(model.max_rows()));
    worker.mask.resize(static_cast<size_t>(model.max_rows()));
  }
  warm_up();
}

/// Runs every plan once on every worker, so that whatever a library keeps per thread is there before the first step.
void Learner::warm_up() {
  workers_.run([&](int index) {
    Worker& worker = worker_[static_cast<size_t>(index)];
    std::fill(worker.tokens.begin(), worker.tokens.end(), 1);
    std::fill(worker.mask.begin(), worker.mask.end(), 1.0f);
    engine::AlignedVector<float> nowhere(gradient_.size());  // gradients of the warm-up are thrown away
    void* inputs[] = {worker.tokens.data(), worker.mask.data(), &worker.label, &worker.loss_weight};
    const auto run = [&](int64_t rows, Mode mode) {
      model_.plan(rows, mode)
          .run({.arena = worker.arena->data(),
                .parameters = weights_.data(),
                .gradients = nowhere.data(),
                .inputs = inputs});
    };
    for (const int64_t rows : rows_train_) run(rows, Mode::train);
    for (const int64_t rows : rows_infer_) run(rows, Mode::infer);
  });
}

int64_t Learner::arena_bytes() const {
  int64_t sum = 0;
  for (const Worker& worker : worker_) sum += worker.arena->bytes();
  return sum;
}

Learner::Outcome Learner::run_example(const Examples& examples, int64_t example, Mode mode, int64_t step,
                                      float loss_weight, float* gradients, Worker& worker) {
  const Clock::time_point start = Clock::now();
  const int64_t length = examples.length(example), rows = model_.rows_for(length), cls = model_.has_cls() ? 1 : 0;
  const engine::Plan& plan = model_.plan(rows, mode);
  const std::span<int32_t> tokens(worker.tokens.data(), static_cast<size_t>(rows - cls));
  examples.copy_tokens(example, tokens);
  float* mask = worker.mask.data();
  const bool zeros_masked = model_.config().task.mask_zero_tokens;
  for (int64_t i = 0; i < rows - cls; ++i)
    mask[cls + i] = i < length && !(zeros_masked && tokens[static_cast<size_t>(i)] == 0) ? 1.0f : 0.0f;
  if (cls == 1) mask[0] = mask[1];  // as the reference does: the CLS row is as real as the first token
  worker.label = examples.label(example);
  worker.loss_weight = loss_weight;
  void* inputs[] = {worker.tokens.data(), mask, &worker.label, &worker.loss_weight};
  const engine::Bindings bindings{.arena = worker.arena->data(),
                                  .parameters = weights_.data(),
                                  .gradients = gradients,
                                  .inputs = inputs,
                                  .keys = {.seed = model_.config().seed,
                                           .step = static_cast<uint32_t>(step),
                                           .example = static_cast<uint32_t>(example)}};
  const Clock::time_point prepared = Clock::now();
  plan.run(bindings, 0, plan.backward_begin());
  const Clock::time_point forwarded = Clock::now();
  plan.run(bindings, plan.backward_begin(), plan.steps());
  worker.data_s += std::chrono::duration<double>(prepared - start).count();
  worker.forward_s += std::chrono::duration<double>(forwarded - prepared).count();
  worker.backward_s += seconds_since(forwarded);

  const engine::View logits = plan.output(port::kLogits, bindings);
  const float* values = logits.as<float>();
  const int64_t guess = std::max_element(values, values + logits.shape().elements()) - values;
  return {.loss = static_cast<double>(*plan.output(port::kLoss, bindings).as<float>()),
          .correct = guess == worker.label,
          .tokens = length,
          .executed_tokens = rows};
}

namespace {

template <class Outcomes>
Tally tally(const Outcomes& outcomes) {
  Tally sum;
  for (const auto& outcome : outcomes) {
    sum.loss_sum += outcome.loss;
    sum.correct += outcome.correct ? 1 : 0;
    sum.tokens += outcome.tokens;
    sum.executed_tokens += outcome.executed_tokens;
    ++sum.examples;
  }
  return sum;
}

}  // namespace

Tally Learner::train_step(const Examples& examples, std::span<const int64_t> batch, int64_t step) {
  lengths_.clear();
  for (const int64_t example : batch) lengths_.push_back(examples.length(example));
  engine::deal_into(lengths_, order_, lanes_);
  outcomes_.assign(batch.size(), {});
  const float loss_weight = 1.0f / static_cast<float>(batch.size());
  workers_.run_tasks(static_cast<int64_t>(lanes_.size()), [&](int64_t lane, int worker) {
    engine::AlignedVector<float>& gradients = lane_gradients_[static_cast<size_t>(lane)];
    std::fill(gradients.begin(), gradients.end(), 0.0f);
    for (const int32_t position : lanes_[static_cast<size_t>(lane)])
      outcomes_[static_cast<size_t>(position)] =
          run_example(examples, batch[static_cast<size_t>(position)], Mode::train, step, loss_weight, gradients.data(),
                      worker_[static_cast<size_t>(worker)]);
  });
  collect_worker_seconds();
  const Clock::time_point start = Clock::now();
  sum_lanes_and_update(step);
  phases_.optimizer += seconds_since(start);
  return tally(outcomes_);
}

void Learner::collect_worker_seconds() {
  for (Worker& worker : worker_) {
    phases_.data += worker.data_s / workers_.count();
    phases_.forward += worker.forward_s / workers_.count();
    phases_.backward += worker.backward_s / workers_.count();
    worker.data_s = worker.forward_s = worker.backward_s = 0;
  }
}

/// Fixed chunks of the flat arrays: lanes are added in order, norms are summed in order, whoever does a chunk.
void Learner::sum_lanes_and_update(int64_t step) {
  const OptimisationConfig& train = model_.config().train;
  const auto elements = static_cast<int64_t>(weights_.size());
  const int64_t chunks = (elements + kChunkElements - 1) / kChunkElements;
  const auto clip_value = static_cast<float>(train.clip_value);
  workers_.run_tasks(chunks, [&](int64_t chunk, int) {
    const int64_t begin = chunk * kChunkElements, end = std::min(elements, begin + kChunkElements);
    float* sum = gradient_.data();
    std::copy(lane_gradients_[0].begin() + begin, lane_gradients_[0].begin() + end, sum + begin);
    for (size_t lane = 1; lane < lane_gradients_.size(); ++lane) {
      const float* part = lane_gradients_[lane].data();
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) sum[i] += part[i];
    }
    if (clip_value > 0)
      for (int64_t i = begin; i < end; ++i) sum[i] = std::clamp(sum[i], -clip_value, clip_value);
    double squares = 0;
    if (train.clip_norm > 0)
      for (int64_t i = begin; i < end; ++i) squares += static_cast<double>(sum[i]) * static_cast<double>(sum[i]);
    chunk_squares_[static_cast<size_t>(chunk)] = squares;
  });
  float scale = 1.0f;
  if (train.clip_norm > 0) {
    double squares = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) squares += chunk_squares_[static_cast<size_t>(chunk)];
    if (std::sqrt(squares) > train.clip_norm) scale = static_cast<float>(train.clip_norm / std::sqrt(squares));
  }
  const engine::AdamStep adam{
      .number = step + 1, .learning_rate = schedule_.learning_rate(step), .beta1 = schedule_.beta1(step, train.beta1)};
  workers_.run_tasks(chunks, [&](int64_t chunk, int) {
    const int64_t begin = chunk * kChunkElements, end = std::min(elements, begin + kChunkElements);
    if (scale != 1.0f)
      for (int64_t i = begin; i < end; ++i) gradient_[static_cast<size_t>(i)] *= scale;
    engine::adam_update(adam_, adam, end - begin, gradient_.data() + begin, weights_.data() + begin, m_.data() + begin,
                        v_.data() + begin);
  });
}

void Learner::run_all(const Examples& examples, std::span<const int64_t> batch, std::span<Outcome> outcomes) {
  workers_.run_tasks(static_cast<int64_t>(batch.size()), [&](int64_t task, int worker) {
    outcomes[static_cast<size_t>(task)] = run_example(examples, batch[static_cast<size_t>(task)], Mode::infer, 0, 0.0f,
                                                      nullptr, worker_[static_cast<size_t>(worker)]);
  });
}

Tally Learner::evaluate(const Examples& examples) {
  const Clock::time_point start = Clock::now();
  std::vector<int64_t> order(static_cast<size_t>(examples.size()));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  // Longest first balances the workers; outcomes are summed in this order, which the data alone decide.
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return examples.length(a) > examples.length(b); });
  std::vector<Outcome> outcomes(order.size());
  run_all(examples, order, outcomes);
  for (Worker& worker : worker_) worker.data_s = worker.forward_s = worker.backward_s = 0;
  phases_.eval += seconds_since(start);
  return tally(outcomes);
}

Tally Learner::infer_batch(const Examples& examples, std::span<const int64_t> batch) {
  outcomes_.assign(batch.size(), {});
  run_all(examples, batch, outcomes_);
  collect_worker_seconds();
  return tally(outcomes_);
}

}  // namespace lra::harness
