// A complete record of each kind, for the tests of this folder.
#pragma once

#include "reports/record.h"
#include "reports/statistics.h"

namespace lra::reports {

inline ResultRecord sample_train_record() {
  ResultRecord record;
  record.kind = RunKind::kTrain;
  record.status = RunStatus::kConverged;
  record.task = {.name = "listops",
                 .split_policy = "paper",
                 .dataset_sha256 = std::string(64, 'a'),
                 .dataset_parameters = {{"min_length", 500}, {"seed", 1}},
                 .train_examples = 96000,
                 .validation_examples = 2000,
                 .test_examples = 2000,
                 .majority_baseline = 0.171,
                 .shortcut_baselines = {{"root_operator", 0.365}}};
  record.attention.name = "nystromformer";
  record.attention.parameters = {{"num_landmarks", 128}, {"causal", false}};
  record.preset = "small";
  record.preset_sha256 = std::string(64, 'b');
  record.config_hash = "0123456789ab";
  record.sequence_length = 2000;
  record.executed_length = {.mean = 1067.5, .max = 1999};
  record.seed = 3;
  record.lanes = 8;
  record.threads = 2;
  record.denormals_flushed = true;
  record.model = {.layers = 2,
                  .d_model = 64,
                  .heads = 2,
                  .d_head = 32,
                  .d_ffn = 128,
                  .parameters = 209482,
                  .parameters_ratio_to_softmax = 1.0007,
                  .dropout_effective = 0.1000061,
                  .attention_dropout_effective = 0.1000061};
  record.model_flops = {.train_per_step = 4.2e10, .infer_per_step = 1.4e10};
  const Interval interval = wilson_interval(744, 2000);
  record.accuracy = {.train = 0.381,
                     .validation = 0.3765,
                     .test = 0.372,
                     .test_correct = 744,
                     .test_total = 2000,
                     .wilson95 = std::array<double, 2>{interval.low, interval.high}};
  record.selection = "best_validation";
  record.best_step = 4750;
  record.loss = {.train = 1.65, .validation = 1.68, .test = 1.69};
  record.speed.train_steps_per_s = 11.9;
  record.speed.train_tokens_per_s = 394000;
  record.speed.executed_tokens_per_s = 406500;
  record.speed.batch_size = 32;
  record.speed.warmup_steps_excluded = 10;
  record.speed.train_step_ms = StepTimeBlock{.p50 = 83.5, .p90 = 88.25, .p99 = 97};
  record.speed.phase_s = PhaseBlock{.data = 1.5, .forward = 140, .backward = 255, .optimizer = 4, .eval = 61};
  record.mfu = {.train = 0.41, .peak_sgemm_gflops = 228};
  record.memory = {.forecast_arena_bytes = 71 << 20,
                   .peak_arena_bytes = 70 << 20,
                   .peak_rss_bytes = 310 << 20,
                   .lane_gradient_bytes = 6703424,
                   .scratch_bytes = 1 << 20};
  record.wall_s = 468;
  record.environment = {.cpu = "Some Vendor Processor with a Long Marketing Name 8999 @ 3.20 GHz",
                        .cpu_id = "GenuineIntel-6-143-8",
                        .l2_bytes = 2 << 20,
                        .l3_bytes = 32 << 20,
                        .isa = "avx512_core",
                        .isa_flags = {"avx2", "fma", "avx512f"},
                        .kernel_isa = "avx512",
                        .cores = 2,
                        .threads = 2,
                        .affinity = "0-1",
                        .onednn = "2.6.3",
                        .eigen = "3.4.0",
                        .compiler = "GCC 12.2.0",
                        .flags = "-O3",
                        .os = "Linux 6.1.0 x86_64",
                        .lra_version = "0.1.0",
                        .git_commit = "0123456789abcdef0123456789abcdef01234567",
                        .started_at = "2024-05-06T07:08:09Z"};
  record.notes = {"every validation example is counted at each evaluation"};
  record.attention.plugin = PluginBlock{.file = "libmine.so", .sha256 = std::string(64, 'b')};
  record.initial_weights =
      InitialWeightsBlock{.path = "/runs/long/checkpoint/best.safetensors", .sha256 = std::string(64, 'a')};
  return record;
}

inline ResultRecord sample_bench_record() {
  ResultRecord record = sample_train_record();
  record.kind = RunKind::kBench;
  record.status = RunStatus::kMeasured;
  record.task = {.name = "text"};
  record.accuracy = {};
  record.loss = {};
  record.selection.reset();
  record.best_step.reset();
  record.speed.phase_s.reset();
  record.speed.train_step_samples_ms = {83.5, 83.75, 84};
  record.speed.train_step_ms->median95 = std::array<double, 2>{82.5, 84.5};
  record.speed.start_up_s = 0.21;
  record.speed.steady_state = true;
  record.mfu.samples = {0.41, 0.409, 0.408};
  record.mfu.median95 = std::array<double, 2>{0.405, 0.412};
  record.mfu.peak_samples_gflops = {227, 228, 229, 228};
  record.memory.bandwidth_gb_per_s = BandwidthBlock{.before = 31.5, .after = 30.5, .array_bytes = 64 << 20};
  record.bound = BoundBlock{.step_ms = 52, .products_ms = 52, .share_reached = 52 / 83.5, .worker_peak_gflops = 114};
  record.noise = NoiseBlock{.outlier_share = 0,
                            .drift = 0.01,
                            .peak_spread = 0.02,
                            .steal_share = 0,
                            .other_load_share = 0.01,
                            .involuntary_switches = 3,
                            .thermal_throttles = 0,
                            .cgroup_throttles = 0};
  record.profile = {
      {.phase = "forward",
       .operation = "linear",
       .scope = "layers.*.ffn",
       .calls = 16,
       .ns_per_token = 600,
       .time_share = 0.6,
       .gflops = 110,
       .bytes = 3 << 20,
       .cached_bytes = 1 << 20,
       .gb_per_s = 5,
       .roofline_share = 0.9},
      {.phase = "backward",
       .operation = "an_operation_with_a_very_long_name",
       .scope = "layers.*.a_scope_with_a_very_long_name",
       .calls = 12345,
       .ns_per_token = 250,
       .time_share = 0.25,
       .bytes = 1000,
       .gb_per_s = 1},
      {.phase = "optimizer",
       .operation = "sum lanes, clip, update",
       .calls = 1,
       .ns_per_token = 50,
       .time_share = 0.05,
       .bytes = 9 << 20},
      {.phase = "outside", .operation = "between kernels", .calls = 248, .ns_per_token = 40, .time_share = 0.04},
      {.phase = "outside", .operation = "rest", .ns_per_token = 60, .time_share = 0.06}};
  record.wall_s.reset();
  return record;
}

}  // namespace lra::reports
