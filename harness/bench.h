// Speed and memory of training or inference steps on full-length sequences: `lra bench`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/model/model.h"
#include "harness/presets.h"
#include "harness/profile.h"
#include "harness/trace.h"
#include "reports/record.h"

namespace lra::harness {

struct BenchOptions {
  Mode mode = Mode::train;
  int threads = 1;
  int64_t memory_limit_bytes = 0;
  std::optional<int64_t> warmup_steps;             // untimed ones; not given: until their times have settled
  int64_t min_steps = 5;                           // timed ones, of each mechanism
  double min_time_s = 2.0;                         // timed, of each mechanism
  std::optional<ProfileBy> profile_by;             // given: also profile the kernels, with rows of this kind
  Trace* trace = nullptr;                          // takes the profiles' time lines
  std::vector<std::string> machine_warnings = {};  // for the notes of every record
};

/// Measures configurations of one length together: after the warm-up of each, their steps are interleaved, so that
/// drift of the machine hits all alike, with bursts of sgemm before and after the steps as the yardstick. What
/// disturbed the timed steps goes to the log and the record's notes. Memory bandwidth is measured before and after. A
/// configuration that does not fit in memory gets a record with status `does_not_fit`. `interrupted` ends the
/// measurement early.
std::vector<reports::ResultRecord> bench(const std::vector<ResolvedConfig>& configurations, const BenchOptions& options,
                                         const std::function<bool()>& interrupted);

}  // namespace lra::harness
