#include "harness/bench.h"

#include <fmt/format.h>

#include <memory>

#include "engine/lanes.h"
#include "harness/bandwidth.h"
#include "harness/bench_candidate.h"
#include "harness/environment.h"
#include "harness/interleave.h"
#include "harness/memory.h"
#include "harness/progress.h"

namespace lra::harness {
namespace {

using Candidates = std::vector<std::unique_ptr<Candidate>>;

/// GB/s of all threads; nothing when the arrays do not fit in memory.
std::optional<double> measure_bandwidth(const BenchOptions& options, int64_t array_bytes) {
  constexpr double kMinTime_s = 0.1;
  if (array_bytes == 0) return std::nullopt;
  engine::Workers workers(options.threads);
  return measure_triad_gb_per_s(workers, array_bytes, kMinTime_s);
}

/// Turns as planned, then more rounds of a group each for those whose steps were shorter than the warm-up's.
void measure_all(const Candidates& candidates, uint64_t seed, const std::function<bool()>& interrupted) {
  std::vector<int64_t> groups;
  for (const std::unique_ptr<Candidate>& candidate : candidates) groups.push_back(candidate->groups_expected());
  for (const Turn& turn : interleave(groups, seed)) {
    if (interrupted()) return;
    candidates[turn.candidate]->measure(turn.parts, interrupted);
  }
  for (bool more = true; more && !interrupted();) {
    more = false;
    for (const std::unique_ptr<Candidate>& candidate : candidates) {
      if (!candidate->ready() || candidate->enough()) continue;
      candidate->measure(1, interrupted);
      more = true;
    }
  }
}

}  // namespace

std::vector<reports::ResultRecord> bench(const std::vector<ResolvedConfig>& configurations, const BenchOptions& options,
                                         const std::function<bool()>& interrupted) {
  const int64_t available_bytes =
      options.memory_limit_bytes > 0 ? options.memory_limit_bytes : available_memory_bytes();
  const int64_t array_bytes = triad_array_bytes(options.threads, available_bytes);
  reports::BandwidthBlock bandwidth{.before = measure_bandwidth(options, array_bytes)};
  if (array_bytes > 0) bandwidth.array_bytes = array_bytes;

  const bool rss_is_ours = array_bytes == 0 || reset_peak_rss();

  Candidates candidates;
  for (const ResolvedConfig& resolved : configurations) {
    candidates.push_back(std::make_unique<Candidate>(resolved, options));
    if (!candidates.back()->prepare(interrupted))
      log_line(fmt::format("{} at n = {} does not fit in memory", resolved.config.attention.name,
                           resolved.config.sequence_length));
  }
  measure_all(candidates, configurations.front().config.seed, interrupted);

  std::vector<reports::ResultRecord> records;
  for (std::unique_ptr<Candidate>& candidate : candidates) {
    records.push_back(candidate->finish(bandwidth, interrupted));
    candidate.reset();
  }
  if (!interrupted()) bandwidth.after = measure_bandwidth(options, array_bytes);
  for (reports::ResultRecord& record : records) {
    record.memory.bandwidth_gb_per_s = bandwidth;
    if (!rss_is_ours) record.notes.emplace_back("peak_rss_bytes holds the arrays of the bandwidth measurement, too");
  }
  return records;
}

}  // namespace lra::harness
