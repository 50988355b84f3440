#include "harness/learner.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <set>

#include "attention/plugin_guard.h"
#include "engine/errors.h"
#include "engine/kernels/arrays.h"
#include "engine/onednn/matmul.h"
#include "harness/memory.h"
#include "harness/stopwatch.h"
#include "reports/units.h"

namespace lra::harness {
namespace {

constexpr int64_t kChunkElements = 16384;  // of the flat arrays: what one worker updates at a time

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

/// Examples that could run at once: a thread each, if there are as many.
int most_at_once(const Model& model, const LearnerOptions& options, bool trains_only) {
  const OptimisationConfig& train = model.config().train;
  int64_t most = options.threads;
  if (options.most_at_once > 0) most = std::min(most, options.most_at_once);
  if (trains_only) most = std::min({most, train.lanes, train.batch_size});
  return static_cast<int>(most);
}

/// The forecast for as many as fit, `most` at most; where none does, for one.
MemoryForecast fewer_at_once(Model& model, engine::Workers& workers, int most, int64_t limit_bytes,
                             std::span<const int64_t> train_lengths, std::span<const int64_t> infer_lengths) {
  for (int at_once = most;; --at_once) {
    MemoryForecast memory = forecast(model, workers, train_lengths, infer_lengths, at_once);
    memory.is_short = at_once < most;
    if (at_once == 1 || memory.total() <= limit_bytes) return memory;
  }
}

/// All threads busy with sequences of their own if that fits. Otherwise teams of threads with fewer sequences, if they
/// find enough to do together; otherwise, or where that is still too much, plans that make activations again.
MemoryForecast settle(Model& model, engine::Workers& workers, const LearnerOptions& options,
                      std::span<const int64_t> train_lengths, std::span<const int64_t> infer_lengths) {
  const int64_t limit_bytes = memory_limit(options);
  const int most = most_at_once(model, options, infer_lengths.empty());
  const auto fewer = [&] { return fewer_at_once(model, workers, most, limit_bytes, train_lengths, infer_lengths); };
  if (train_lengths.empty()) return fewer();
  const MemoryForecast all = forecast(model, workers, train_lengths, infer_lengths, most);
  if (all.total() <= limit_bytes) return all;
  const int64_t longest = *std::max_element(train_lengths.begin(), train_lengths.end());
  if (model.plan(model.rows_for(longest), Mode::train).is_divisible())
    if (const MemoryForecast teams = fewer(); teams.total() <= limit_bytes) return teams;
  model.set_activations(engine::Activations::recomputed);
  return fewer();
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
                        std::span<const int64_t> infer_lengths, int examples_at_once) {
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
  const auto count = [&](const engine::Plan& plan, int64_t& shared_bytes) {
    shared_bytes = std::max(shared_bytes, plan.shared_bytes());
    memory.own_arena_bytes = std::max(memory.own_arena_bytes, plan.own_bytes());
    memory.constant_bytes += plan.constant_bytes();
  };
  for (const auto& [rows, mode] : wanted) count(model.plan(rows, mode), memory.sequence_arena_bytes);
  if (model.is_pair()) {
    if (!train_lengths.empty()) count(model.head_plan(Mode::train), memory.head_arena_bytes);
    if (!infer_lengths.empty()) count(model.head_plan(Mode::infer), memory.head_arena_bytes);
    if (!train_lengths.empty()) memory.second_arena_bytes = memory.sequence_arena_bytes;
  }
  const int64_t flat_bytes = model.parameters().flat_elements() * static_cast<int64_t>(sizeof(float));
  memory.examples_at_once = examples_at_once;
  memory.arena_bytes = memory.example_arena_bytes() * examples_at_once + memory.own_arena_bytes * workers.count();
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
      schedule_(schedule_of(model.config().train)) {
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
  const auto arena = [](int64_t bytes) { return bytes == 0 ? nullptr : std::make_unique<engine::Arena>(bytes); };
  for (int i = 0; i < forecast_.examples_at_once; ++i)
    slots_.push_back({.sequences = {arena(forecast_.sequence_arena_bytes), arena(forecast_.second_arena_bytes)},
                      .head = arena(forecast_.head_arena_bytes),
                      .inputs = ExampleInputs<float>(model)});
  worker_.resize(static_cast<size_t>(options.threads));
  for (Worker& worker : worker_) worker.own = std::make_unique<engine::Arena>(forecast_.own_arena_bytes);
  workers_.run([](int) { engine::onednn::prepare_calling_thread(); });
  start_up_s_ = seconds_since(started_);
}

int64_t Learner::arena_bytes() const {
  int64_t sum = 0;
  for (const Slot& slot : slots_)
    for (const engine::Arena* arena : {slot.sequences[0].get(), slot.sequences[1].get(), slot.head.get()})
      sum += arena == nullptr ? 0 : arena->bytes();
  for (const Worker& worker : worker_) sum += worker.own->bytes();
  return sum;
}

/// All members of a team run it; the first one brings the inputs and takes the outcome.
void Learner::run_example(const Examples& examples, const Task& task, const engine::Seat& seat, Outcome& outcome) {
  const Clock::time_point start = Clock::now();
  Slot& slot = slots_[static_cast<size_t>(seat.team)];
  Worker& worker = worker_[static_cast<size_t>(seat.worker)];
  if (seat.member.index == 0) {
    slot.inputs.load(model_, examples, task.example);
    slot.inputs.loss_weight = task.loss_weight;
  }
  seat.member.meet();
  ExamplePlans plans;
  for (size_t i = 0; i < slot.inputs.sequences.size(); ++i)
    plans.sequences[i] = &model_.plan(slot.inputs.sequences[i].rows, task.mode);
  ExampleMemory memory{.own = worker.own->data()};
  memory.sequences = {slot.sequences[0]->data(), slot.sequences[slot.sequences[1] ? 1 : 0]->data()};
  if (model_.is_pair()) {
    plans.head = &model_.head_plan(task.mode);
    memory.head = slot.head->data();
  }
  const engine::Bindings common{.parameters = weights_.data(),
                                .gradients = task.gradients,
                                .keys = {.seed = model_.config().seed,
                                         .step = static_cast<uint32_t>(task.step),
                                         .example = static_cast<uint32_t>(task.example)},
                                .member = seat.member};
  ExamplePass<float> pass(plans, memory, slot.inputs, common);
  const Clock::time_point prepared = Clock::now();
  pass.forward();
  const Clock::time_point forwarded = Clock::now();
  pass.backward();
  worker.data_s += std::chrono::duration<double>(prepared - start).count();
  worker.forward_s += std::chrono::duration<double>(forwarded - prepared).count();
  worker.backward_s += seconds_since(forwarded);
  if (seat.member.index != 0) return;
  outcome = {.loss = pass.loss(),
             .correct = pass.guess() == slot.inputs.label,
             .tokens = examples.tokens(task.example),
             .executed_tokens = slot.inputs.rows()};
}

/// Rounds of as many examples as run at once: a thread each, or a team each where memory is short. What is left for
/// the last round is run by wider teams, all threads together. Short sequences that a team cannot divide only keep its
/// first thread busy: they are left to whoever comes free.
void Learner::run_tasks(int64_t tasks, int64_t longest_rows, Mode mode, engine::Job<int64_t, engine::Seat> body) {
  if (tasks == 0) return;
  const auto at_once = static_cast<int64_t>(slots_.size());
  const bool wider = workers_.count() > 1 && model_.plan(longest_rows, mode).is_divisible();
  const int64_t left = wider ? tasks % at_once : 0;
  attention::while_running(model_.mechanism(), [&] {
    if (tasks > left) workers_.run_tasks_in_teams(tasks - left, static_cast<int>(at_once), body);
    if (left > 0)
      workers_.run_tasks_in_teams(left, static_cast<int>(left),
                                  [&](int64_t task, engine::Seat seat) { body(tasks - left + task, seat); });
  });
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
  for (const int64_t example : batch) lengths_.push_back(examples.tokens(example));
  engine::deal_into(lengths_, order_, lanes_);
  outcomes_.assign(batch.size(), {});
  const float loss_weight = 1.0f / static_cast<float>(batch.size());
  const auto busy_lanes = static_cast<int64_t>(std::min(lanes_.size(), batch.size()));  // the first ones
  const int64_t longest = longest_rows(examples, batch);
  for (size_t lane = static_cast<size_t>(busy_lanes); lane < lanes_.size(); ++lane)
    std::fill(lane_gradients_[lane].begin(), lane_gradients_[lane].end(), 0.0f);
  run_tasks(busy_lanes, longest, Mode::train, [&](int64_t lane, engine::Seat seat) {
    engine::AlignedVector<float>& gradients = lane_gradients_[static_cast<size_t>(lane)];
    if (seat.member.index == 0) std::fill(gradients.begin(), gradients.end(), 0.0f);
    for (const int32_t position : lanes_[static_cast<size_t>(lane)]) {
      const Task task{.example = batch[static_cast<size_t>(position)],
                      .mode = Mode::train,
                      .step = step,
                      .loss_weight = loss_weight,
                      .gradients = gradients.data()};
      run_example(examples, task, seat, outcomes_[static_cast<size_t>(position)]);
    }
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
      engine::add_to(part + begin, sum + begin, end - begin);
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

int64_t Learner::longest_rows(const Examples& examples, std::span<const int64_t> batch) const {
  int64_t longest = 1;
  for (const int64_t example : batch) longest = std::max(longest, examples.longest(example));
  return model_.rows_for(longest);
}

void Learner::run_all(const Examples& examples, std::span<const int64_t> batch, std::span<Outcome> outcomes,
                      const std::function<void(int64_t example)>& done) {
  run_tasks(static_cast<int64_t>(batch.size()), longest_rows(examples, batch), Mode::infer,
            [&](int64_t task, engine::Seat seat) {
              const int64_t example = batch[static_cast<size_t>(task)];
              run_example(examples, {.example = example, .mode = Mode::infer}, seat,
                          outcomes[static_cast<size_t>(task)]);
              if (done && seat.member.index == 0) done(example);
            });
}

Tally Learner::evaluate(const Examples& examples, const EvaluationProgressFn& progress) {
  const Clock::time_point start = Clock::now();
  std::vector<int64_t> order(static_cast<size_t>(examples.size()));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  // Longest first balances the workers; outcomes are summed in this order, which the data alone decide.
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return examples.tokens(a) > examples.tokens(b); });
  std::vector<Outcome> outcomes(order.size());
  std::function<void(int64_t)> done;
  std::atomic<int64_t> done_tokens{0};
  int64_t total_tokens = 0;
  if (progress) {
    for (const int64_t example : order) total_tokens += examples.tokens(example);
    done = [&](int64_t example) { progress(done_tokens += examples.tokens(example), total_tokens); };
  }
  run_all(examples, order, outcomes, done);
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
