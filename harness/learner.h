// The weights of a model and the one way to step and to evaluate them: lanes, workers, optimiser, meters.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/aligned.h"
#include "engine/lanes.h"
#include "engine/optimizer.h"
#include "engine/plan.h"
#include "harness/examples.h"
#include "harness/model/example_pass.h"
#include "harness/model/model.h"

namespace lra::harness {

/// Sums over examples, in an order that does not depend on threads.
struct Tally {
  double loss_sum = 0;
  int64_t correct = 0;
  int64_t examples = 0;
  int64_t tokens = 0;           // real ones
  int64_t executed_tokens = 0;  // rows that ran, padding inside buckets included
  double loss() const { return loss_sum / static_cast<double>(examples); }
  double accuracy() const { return static_cast<double>(correct) / static_cast<double>(examples); }
  Tally& operator+=(const Tally& other);
};

/// Seconds spent in each phase: worker-seconds divided by the number of workers where phases run on all of them.
struct PhaseSeconds {
  double data = 0;
  double forward = 0;
  double backward = 0;
  double optimizer = 0;
  double eval = 0;
};

/// Bytes that a learner will take, known before any of them are allocated.
struct MemoryForecast {
  int64_t arena_bytes = 0;           // of all sequences that run at once, and of all threads
  int64_t sequence_arena_bytes = 0;  // of one sequence
  int64_t second_arena_bytes = 0;    // of the second one of a pair; 0 where they take turns
  int64_t head_arena_bytes = 0;      // of a pair
  int64_t own_arena_bytes = 0;       // of one thread
  int64_t lane_gradient_bytes = 0;
  int64_t parameter_bytes = 0;  // weights, both moments, summed gradient
  int64_t constant_bytes = 0;
  int examples_at_once = 1;  // fewer than threads where there are no more, or memory is short: teams share them then
  bool is_short = false;     // of memory: more would have run at once
  int64_t example_arena_bytes() const { return sequence_arena_bytes + second_arena_bytes + head_arena_bytes; }
  int64_t total() const { return arena_bytes + lane_gradient_bytes + parameter_bytes + constant_bytes; }
};

struct LearnerOptions {
  int threads = 1;
  int64_t memory_limit_bytes = 0;  // 0: what the machine and its cgroup have available
  int64_t most_at_once = 0;        // examples that will ever be given together; 0: enough for all threads
};

/// Makes every plan for the given lengths of sequences (in parallel) and says what memory a run takes with that many
/// examples at once, 1 <= examples_at_once <= workers.count().
MemoryForecast forecast(Model& model, engine::Workers& workers, std::span<const int64_t> train_lengths,
                        std::span<const int64_t> infer_lengths, int examples_at_once);

/// Called with how many tokens of all examples were evaluated.
using EvaluationProgressFn = std::function<void(int64_t done_tokens, int64_t total_tokens)>;

class Learner {
 public:
  /// Plans for all lengths that will occur. Where memory is short, fewer examples run at once, each on several threads
  /// (memory().examples_at_once), then layers are recomputed in the backward pass (model.activations()); what does not
  /// fit then is refused before anything is allocated (ResourceError with the forecast and what to lower). Then
  /// initialises the weights from the configuration's seed.
  Learner(Model& model, const LearnerOptions& options, std::span<const int64_t> train_lengths,
          std::span<const int64_t> infer_lengths);

  /// One optimiser step on the given examples; `step` counts from 0. Returns the batch's tally before the update.
  /// The same bits for any number of threads. Does not allocate.
  Tally train_step(const Examples& examples, std::span<const int64_t> batch, int64_t step);

  /// Every given example exactly once, in inference mode. `progress` is called from the threads that work, after each
  /// example, and does not throw.
  Tally evaluate(const Examples& examples, const EvaluationProgressFn& progress = {});
  /// Inference on a batch alone, for measuring.
  Tally infer_batch(const Examples& examples, std::span<const int64_t> batch);

  Model& model() { return model_; }
  const Model& model() const { return model_; }
  engine::Workers& workers() { return workers_; }
  int threads() const { return workers_.count(); }
  std::span<float> weights() { return weights_; }
  std::span<float> first_moments() { return m_; }
  std::span<float> second_moments() { return v_; }
  const MemoryForecast& memory() const { return forecast_; }
  /// Bytes of the arenas as allocated.
  int64_t arena_bytes() const;
  PhaseSeconds& phases() { return phases_; }
  /// What making it took: plans with their primitives, memory, weights.
  double start_up_s() const { return start_up_s_; }

 private:
  /// What an example that runs needs, whichever threads run it.
  struct Slot {
    std::array<std::unique_ptr<engine::Arena>, 2> sequences;
    std::unique_ptr<engine::Arena> head;
    ExampleInputs<float> inputs;
  };
  struct Worker {
    std::unique_ptr<engine::Arena> own;
    double forward_s = 0, backward_s = 0, data_s = 0;
  };
  struct Outcome {
    double loss = 0;
    bool correct = false;
    int64_t tokens = 0;
    int64_t executed_tokens = 0;
  };

  struct Task {
    int64_t example = 0;
    Mode mode = Mode::infer;
    int64_t step = 0;
    float loss_weight = 0;
    float* gradients = nullptr;
  };
  void run_example(const Examples& examples, const Task& task, const engine::Seat& seat, Outcome& outcome);
  void run_tasks(int64_t tasks, int64_t longest_rows, Mode mode, engine::Job<int64_t, engine::Seat> body);
  void run_all(const Examples& examples, std::span<const int64_t> batch, std::span<Outcome> outcomes,
               const std::function<void(int64_t example)>& done = {});
  int64_t longest_rows(const Examples& examples, std::span<const int64_t> batch) const;
  void sum_lanes_and_update(int64_t step);
  void collect_worker_seconds();

  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  double start_up_s_ = 0;
  Model& model_;
  engine::Workers workers_;
  MemoryForecast forecast_;
  engine::AdamParams adam_;
  engine::Schedule schedule_;
  engine::AlignedVector<float> weights_, gradient_, m_, v_;
  std::vector<engine::AlignedVector<float>> lane_gradients_;
  std::vector<Slot> slots_;
  std::vector<Worker> worker_;
  std::vector<std::vector<int32_t>> lanes_;
  std::vector<int32_t> order_;
  std::vector<int64_t> lengths_;
  std::vector<Outcome> outcomes_;
  std::vector<double> chunk_squares_;
  PhaseSeconds phases_;
};

}  // namespace lra::harness
