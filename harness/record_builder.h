// Parts of the result record that training, evaluation and bench fill in alike.
#pragma once

#include <span>
#include <vector>

#include "engine/lanes.h"
#include "harness/learner.h"
#include "harness/presets.h"
#include "reports/record.h"
#include "tasks/dataset.h"

namespace lra::harness {

/// Everything that is known before anything runs: configuration, model, environment.
reports::ResultRecord describe(const ResolvedConfig& resolved, const Model& model, int threads);

/// Adds the data set's block, shortcut baselines included.
void describe_dataset(reports::ResultRecord& record, const tasks::Dataset& dataset, const RunSplits& splits);

/// Adds forecast and peaks.
void describe_memory(reports::ResultRecord& record, const Learner& learner);

/// p50, p90 and p99 of step times in milliseconds.
reports::StepTimeBlock step_times(std::span<const double> samples_ms);

inline constexpr double kPeakBurst_s = 0.05;  // of one measurement of the peak; repeated beside the steps

/// GFLOP/s of 512x512x512 f32 products on all workers at once, for at least `burst_s`.
double measure_peak_gflops(engine::Workers& workers, double burst_s = kPeakBurst_s);

}  // namespace lra::harness
