// What each kernel of a plan costs, measured call by call on all workers at once: `lra bench --profile`.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/lanes.h"
#include "engine/plan.h"
#include "harness/examples.h"
#include "harness/model/model.h"
#include "reports/record.h"

namespace lra::harness {

struct ProfileOptions {
  double min_time_s = 0.5;  // of each worker
  int64_t min_runs = 3;     // of each worker
};

/// One kernel call of a profiled run.
struct KernelCall {
  size_t step = 0;
  int64_t row_begin = 0;
  engine::CallObserver::Clock::time_point start, stop;
};

/// Costs of one example on one worker while all workers are busy. Each is the mean over the faster half of a worker's
/// samples of it, averaged over the workers: what interrupted a run does not count, and the parts add up to no more
/// than the whole.
struct PlanProfile {
  std::vector<double> step_ns;                     // by step: all its calls
  std::vector<int64_t> calls;                      // by step
  double between_ns = 0;                           // of a run, outside of all calls
  double run_ns = 0;                               // a whole run
  int64_t runs = 0;                                // of each worker, the fewest
  std::vector<std::vector<KernelCall>> last_runs;  // by worker: the calls of its last run, in order

  double kernels_ns() const;
};

/// Runs the model's plan for the first example's length again and again on every worker, telling every call's time.
/// Allocates an arena and a gradient array for each worker. `weights` are laid out as Parameters has them.
PlanProfile profile_plan(Model& model, Mode mode, std::span<const float> weights, const Examples& examples,
                         engine::Workers& workers, const ProfileOptions& options = {});

/// Bytes that a step's arguments cover, each argument once.
struct Traffic {
  int64_t memory_bytes = 0;
  int64_t cached_bytes = 0;  // of buffers that exist for one block of rows only
};
Traffic traffic_of(const engine::Step& step);

/// What the rows of a profile stand for: operations in a scope whose layer number is left open; such scopes; or single
/// steps of the plan.
enum class ProfileBy { kOperation, kScope, kNode };
constexpr auto names_of(ProfileBy) { return std::array{"operation", "scope", "node"}; }

/// "encoder.layers.0.ffn" -> "layers.*.ffn".
std::string folded_scope(const std::string& scope);

/// What one worker can do, to hold the kernels against.
struct Yardstick {
  double gflops = 0;    // 0: not known
  double gb_per_s = 0;  // 0: not known
};

/// What the steps cost without the profile, in nanoseconds of a worker for each token.
struct StepCosts {
  double step_ns = 0;    // everything, waiting included
  double data_ns = 0;    // copying tokens
  double passes_ns = 0;  // forward and backward
  double optimizer_ns = 0;
  int64_t optimizer_bytes = 0;  // of one step
};

/// Bytes that adding the lanes, clipping and Adam read and write in one step: each lane's gradient once, the sum, the
/// weights and both moments twice.
int64_t optimizer_bytes(const Model& model);

struct ProfileRowOptions {
  ProfileBy by = ProfileBy::kOperation;
  int64_t tokens = 1;  // of an example
  Yardstick yardstick;
  StepCosts costs;
};

/// The profile as rows of the record, costliest first, then what no kernel accounts for: the time between kernels, what
/// the passes take in steps beyond that (a profile leaves out what interrupts it), the copying of tokens, and the rest
/// of the step (clearing the lanes' sums, waiting for other workers). All rows together add up to StepCosts::step_ns.
std::vector<reports::ProfileRow> profile_rows(const engine::Plan& plan, const PlanProfile& profile,
                                              const ProfileRowOptions& options);

}  // namespace lra::harness
