// One configuration being measured by `lra bench`: warm-up, timed steps, and the record they come to.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "harness/bench.h"
#include "harness/learner.h"
#include "harness/noise.h"
#include "tasks/task.h"

namespace lra::harness {

class Candidate {
 public:
  /// `options` outlives the candidate.
  Candidate(const ResolvedConfig& resolved, const BenchOptions& options);

  /// Plans, allocates and warms up. False, with the record saying so, when the configuration does not fit in memory.
  bool prepare(const std::function<bool()>& interrupted);
  bool ready() const { return learner_ != nullptr; }

  /// Groups of steps that min_steps and min_time_s will come to, judged by the warm-up; 0 when not ready.
  int64_t groups_expected() const;
  bool enough() const;
  /// Up to `groups` groups of timed steps, with a burst of products before and after each. A group is one step, or more
  /// that together take as long as a burst.
  void measure(int64_t groups, const std::function<bool()>& interrupted);

  /// The record, complete but for the memory bandwidth after the measurement; frees the learner. The bound and the
  /// profile are left out when `interrupted`.
  reports::ResultRecord finish(const reports::BandwidthBlock& bandwidth, const std::function<bool()>& interrupted);

 private:
  int64_t tokens_per_example() const;
  void refuse_if_tokens_do_not_fit(int64_t left_bytes) const;
  void step();
  void warm_up(const std::function<bool()>& interrupted);
  double burst();
  void time_group();
  void fill_speed();
  void fill_noise();
  void fill_bound_and_profile(const reports::BandwidthBlock& bandwidth);
  void fill_profile(engine::Workers& workers, std::span<const float> weights, const reports::BandwidthBlock& bandwidth);
  double worker_ns_per_token(double seconds) const;

  const BenchOptions& options_;
  Model model_;
  reports::ResultRecord record_;
  std::optional<RandomExamples> examples_;
  std::vector<int64_t> batch_;
  std::unique_ptr<Learner> learner_;
  int64_t steps_ = 0;  // all, warm-up included
  double timed_s_ = 0;
  std::vector<int> cpus_;
  std::vector<double> warmup_s_, samples_ms_, mfu_, peaks_;
  NoiseCounters counters_;
};

}  // namespace lra::harness
