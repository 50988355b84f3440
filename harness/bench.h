// Speed and memory of training or inference steps on full-length sequences: `lra bench`.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/model/model.h"
#include "harness/presets.h"
#include "reports/record.h"

namespace lra::harness {

struct BenchOptions {
  Mode mode = Mode::train;
  int threads = 1;
  int64_t memory_limit_bytes = 0;
  int64_t warmup_steps = 2;
  int64_t min_steps = 5;    // timed ones, of each mechanism
  double min_time_s = 2.0;  // timed, of each mechanism
};

/// Measures configurations of one length together: after the warm-up of each, one step of each in turn, so that drift
/// of the machine hits all alike, with a burst of sgemm before and after each step as the yardstick. A configuration
/// that does not fit in memory gets a record with status `does_not_fit`. `interrupted` ends the measurement early.
std::vector<reports::ResultRecord> bench(const std::vector<ResolvedConfig>& configurations, const BenchOptions& options,
                                         const std::function<bool()>& interrupted);

}  // namespace lra::harness
