// Every block of the result record, listed once: the same list writes and reads its JSON.
//
// An archive is called as archive(key, field) for each field, in the order of the schema. `Block auto&` binds to a
// const block when it is written and to a mutable one when it is read.
#pragma once

#include <concepts>
#include <type_traits>

#include "reports/record.h"

namespace lra::reports {

template <class T, class Block>
concept BlockOf = std::same_as<std::remove_const_t<T>, Block>;

void list_fields(auto& archive, BlockOf<TaskBlock> auto& block) {
  archive("name", block.name);
  archive("split_policy", block.split_policy);
  archive("split_sha256", block.split_sha256);
  archive("dataset_sha256", block.dataset_sha256);
  archive("dataset_parameters", block.dataset_parameters);
  archive("train_examples", block.train_examples);
  archive("validation_examples", block.validation_examples);
  archive("test_examples", block.test_examples);
  archive("majority_baseline", block.majority_baseline);
  archive("shortcut_baselines", block.shortcut_baselines);
}

void list_fields(auto& archive, BlockOf<PluginBlock> auto& block) {
  archive("file", block.file);
  archive("sha256", block.sha256);
}

void list_fields(auto& archive, BlockOf<AttentionBlock> auto& block) {
  archive("name", block.name);
  archive("parameters", block.parameters);
  archive("plugin", block.plugin);
}

void list_fields(auto& archive, BlockOf<InitialWeightsBlock> auto& block) {
  archive("path", block.path);
  archive("sha256", block.sha256);
}

void list_fields(auto& archive, BlockOf<ExecutedLengthBlock> auto& block) {
  archive("mean", block.mean);
  archive("max", block.max);
}

void list_fields(auto& archive, BlockOf<ModelBlock> auto& block) {
  archive("layers", block.layers);
  archive("d_model", block.d_model);
  archive("heads", block.heads);
  archive("d_head", block.d_head);
  archive("d_ffn", block.d_ffn);
  archive("parameters", block.parameters);
  archive("parameters_ratio_to_softmax", block.parameters_ratio_to_softmax);
  archive("dropout_effective", block.dropout_effective);
  archive("attention_dropout_effective", block.attention_dropout_effective);
}

void list_fields(auto& archive, BlockOf<ModelFlopsBlock> auto& block) {
  archive("train_per_step", block.train_per_step);
  archive("infer_per_step", block.infer_per_step);
}

void list_fields(auto& archive, BlockOf<AccuracyBlock> auto& block) {
  archive("train", block.train);
  archive("validation", block.validation);
  archive("test", block.test);
  archive("test_correct", block.test_correct);
  archive("test_total", block.test_total);
  archive("wilson95", block.wilson95);
}

void list_fields(auto& archive, BlockOf<LossBlock> auto& block) {
  archive("train", block.train);
  archive("validation", block.validation);
  archive("test", block.test);
}

void list_fields(auto& archive, BlockOf<StepTimeBlock> auto& block) {
  archive("p50", block.p50);
  archive("p90", block.p90);
  archive("p99", block.p99);
  archive("median95", block.median95);
}

void list_fields(auto& archive, BlockOf<PhaseBlock> auto& block) {
  archive("data", block.data);
  archive("forward", block.forward);
  archive("backward", block.backward);
  archive("optimizer", block.optimizer);
  archive("eval", block.eval);
}

void list_fields(auto& archive, BlockOf<SpeedBlock> auto& block) {
  archive("train_steps_per_s", block.train_steps_per_s);
  archive("infer_steps_per_s", block.infer_steps_per_s);
  archive("train_tokens_per_s", block.train_tokens_per_s);
  archive("infer_tokens_per_s", block.infer_tokens_per_s);
  archive("executed_tokens_per_s", block.executed_tokens_per_s);
  archive("batch_size", block.batch_size);
  archive("warmup_steps_excluded", block.warmup_steps_excluded);
  archive("train_step_ms", block.train_step_ms);
  archive("infer_step_ms", block.infer_step_ms);
  archive("phase_s", block.phase_s);
  archive("train_step_samples_ms", block.train_step_samples_ms);
  archive("infer_step_samples_ms", block.infer_step_samples_ms);
  archive("start_up_s", block.start_up_s);
  archive("steady_state", block.steady_state);
}

void list_fields(auto& archive, BlockOf<MfuBlock> auto& block) {
  archive("train", block.train);
  archive("infer", block.infer);
  archive("peak_sgemm_gflops", block.peak_sgemm_gflops);
  archive("samples", block.samples);
  archive("median95", block.median95);
  archive("peak_samples_gflops", block.peak_samples_gflops);
}

void list_fields(auto& archive, BlockOf<BoundBlock> auto& block) {
  archive("step_ms", block.step_ms);
  archive("products_ms", block.products_ms);
  archive("exponentials_ms", block.exponentials_ms);
  archive("draws_ms", block.draws_ms);
  archive("share_reached", block.share_reached);
  archive("worker_peak_gflops", block.worker_peak_gflops);
}

void list_fields(auto& archive, BlockOf<BandwidthBlock> auto& block) {
  archive("before", block.before);
  archive("after", block.after);
  archive("array_bytes", block.array_bytes);
}

void list_fields(auto& archive, BlockOf<NoiseBlock> auto& block) {
  archive("outlier_share", block.outlier_share);
  archive("drift", block.drift);
  archive("peak_spread", block.peak_spread);
  archive("steal_share", block.steal_share);
  archive("other_load_share", block.other_load_share);
  archive("involuntary_switches", block.involuntary_switches);
  archive("thermal_throttles", block.thermal_throttles);
  archive("cgroup_throttles", block.cgroup_throttles);
}

void list_fields(auto& archive, BlockOf<ProfileRow> auto& row) {
  archive("phase", row.phase);
  archive("operation", row.operation);
  archive("scope", row.scope);
  archive("calls", row.calls);
  archive("ns_per_token", row.ns_per_token);
  archive("time_share", row.time_share);
  archive("gflops", row.gflops);
  archive("bytes", row.bytes);
  archive("cached_bytes", row.cached_bytes);
  archive("gb_per_s", row.gb_per_s);
  archive("roofline_share", row.roofline_share);
}

void list_fields(auto& archive, BlockOf<MemoryBlock> auto& block) {
  archive("forecast_arena_bytes", block.forecast_arena_bytes);
  archive("peak_arena_bytes", block.peak_arena_bytes);
  archive("peak_rss_bytes", block.peak_rss_bytes);
  archive("lane_gradient_bytes", block.lane_gradient_bytes);
  archive("scratch_bytes", block.scratch_bytes);
  archive("bandwidth_gb_per_s", block.bandwidth_gb_per_s);
}

void list_fields(auto& archive, BlockOf<EnvironmentBlock> auto& block) {
  archive("cpu", block.cpu);
  archive("cpu_id", block.cpu_id);
  archive("l2_bytes", block.l2_bytes);
  archive("l3_bytes", block.l3_bytes);
  archive("isa", block.isa);
  archive("isa_flags", block.isa_flags);
  archive("kernel_isa", block.kernel_isa);
  archive("cores", block.cores);
  archive("threads", block.threads);
  archive("affinity", block.affinity);
  archive("onednn", block.onednn);
  archive("eigen", block.eigen);
  archive("compiler", block.compiler);
  archive("flags", block.flags);
  archive("os", block.os);
  archive("lra_version", block.lra_version);
  archive("git_commit", block.git_commit);
  archive("started_at", block.started_at);
}

void list_fields(auto& archive, BlockOf<ResultRecord> auto& record) {
  archive("schema_version", record.schema_version);
  archive("kind", record.kind);
  archive("status", record.status);
  archive("task", record.task);
  archive("attention", record.attention);
  archive("preset", record.preset);
  archive("preset_sha256", record.preset_sha256);
  archive("config_hash", record.config_hash);
  archive("sequence_length", record.sequence_length);
  archive("executed_length", record.executed_length);
  archive("seed", record.seed);
  archive("lanes", record.lanes);
  archive("threads", record.threads);
  archive("denormals_flushed", record.denormals_flushed);
  archive("model", record.model);
  archive("model_flops", record.model_flops);
  archive("accuracy", record.accuracy);
  archive("selection", record.selection);
  archive("best_step", record.best_step);
  archive("loss", record.loss);
  archive("speed", record.speed);
  archive("mfu", record.mfu);
  archive("memory", record.memory);
  archive("wall_s", record.wall_s);
  archive("environment", record.environment);
  archive("notes", record.notes);
  archive("bound", record.bound);
  archive("noise", record.noise);
  archive("profile", record.profile);
  archive("initial_weights", record.initial_weights);
}

}  // namespace lra::reports
