// The result record: what one run or one bench cell measured, and its JSON form (reports/schema/result.schema.json).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace lra::reports {

inline constexpr int kSchemaVersion = 1;

/// A record that cannot be read: not an object, a wrong type, an unknown status, a newer schema. The message names the
/// key. Callers turn it into the program's own error, with the file's name.
class RecordError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class RunKind { kTrain, kBench };

enum class RunStatus { kConverged, kAtChance, kDiverged, kInterrupted, kMeasured, kDoesNotFit };

std::string_view to_string(RunKind kind);      // "train" | "bench"
std::string_view to_string(RunStatus status);  // "converged" | "at_chance" | ... | "does_not_fit"

/// Throw RecordError for another text.
RunKind run_kind_from_string(std::string_view text);
RunStatus run_status_from_string(std::string_view text);

// The blocks may be filled with designated initialisers in any number. In every block an empty optional is written as
// `null`: it does not apply to this kind of run, or was not finite.

/// The file that a training run took its first weights from.
struct InitialWeightsBlock {
  std::string path = {};
  std::string sha256 = {};
};

struct TaskBlock {
  std::string name = {};
  std::optional<std::string> split_policy = {};
  std::optional<std::string> split_sha256 = {};  // of which examples are in which split
  std::optional<std::string> dataset_sha256 = {};
  nlohmann::ordered_json dataset_parameters = nlohmann::ordered_json::object();  // and its seed, as in dataset.json
  std::optional<std::int64_t> train_examples = {};
  std::optional<std::int64_t> validation_examples = {};
  std::optional<std::int64_t> test_examples = {};
  std::optional<double> majority_baseline = {};           // accuracy of always answering the commonest class
  std::map<std::string, double> shortcut_baselines = {};  // name -> accuracy of a predictor that sees only that much
};

/// The shared object that a mechanism comes from.
struct PluginBlock {
  std::string file = {};  // its name, without a directory
  std::string sha256 = {};
};

struct AttentionBlock {
  std::string name = {};
  nlohmann::ordered_json parameters = nlohmann::ordered_json::object();
  std::optional<PluginBlock> plugin = {};  // empty: a mechanism of the program
};

struct ExecutedLengthBlock {
  std::optional<double> mean = {};
  std::optional<std::int64_t> max = {};
};

struct ModelBlock {
  std::int64_t layers = 0;
  std::int64_t d_model = 0;
  std::int64_t heads = 0;
  std::int64_t d_head = 0;
  std::int64_t d_ffn = 0;
  std::int64_t parameters = 0;
  std::optional<double> parameters_ratio_to_softmax = {};
  std::optional<double> dropout_effective = {};            // k / 65536, the probability that is really drawn
  std::optional<double> attention_dropout_effective = {};  // likewise
};

/// 2mnk over the matrix products of the declared definition, one whole batch; training is three times the forward pass.
struct ModelFlopsBlock {
  std::optional<double> train_per_step = {};
  std::optional<double> infer_per_step = {};
};

struct AccuracyBlock {
  std::optional<double> train = {};
  std::optional<double> validation = {};
  std::optional<double> test = {};
  std::optional<std::int64_t> test_correct = {};
  std::optional<std::int64_t> test_total = {};
  std::optional<std::array<double, 2>> wilson95 = {};
};

struct LossBlock {
  std::optional<double> train = {};
  std::optional<double> validation = {};
  std::optional<double> test = {};
};

struct StepTimeBlock {
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
  std::optional<std::array<double, 2>> median95 = {};  // bootstrap interval of the median; bench only
};

struct PhaseBlock {
  double data = 0;
  double forward = 0;
  double backward = 0;
  double optimizer = 0;
  double eval = 0;
};

struct SpeedBlock {
  std::optional<double> train_steps_per_s = {};
  std::optional<double> infer_steps_per_s = {};
  std::optional<double> train_tokens_per_s = {};  // real tokens, padding excluded
  std::optional<double> infer_tokens_per_s = {};
  std::optional<double> executed_tokens_per_s = {};  // tokens that were computed, bucket padding included
  std::optional<std::int64_t> batch_size = {};
  std::optional<std::int64_t> warmup_steps_excluded = {};
  std::optional<double> start_up_s = {};  // plans, primitives, memory, weights
  std::optional<bool> steady_state = {};  // whether step times had settled when timing began; empty: not looked for
  std::optional<StepTimeBlock> train_step_ms = {};
  std::optional<StepTimeBlock> infer_step_ms = {};
  std::optional<PhaseBlock> phase_s = {};
  std::optional<std::vector<double>> train_step_samples_ms = {};  // bench only
  std::optional<std::vector<double>> infer_step_samples_ms = {};  // bench only
};

struct MfuBlock {
  std::optional<double> train = {};
  std::optional<double> infer = {};
  std::optional<double> peak_sgemm_gflops = {};
  std::optional<std::vector<double>> samples = {};              // one per timed step
  std::optional<std::array<double, 2>> median95 = {};           // bootstrap interval of the median
  std::optional<std::vector<double>> peak_samples_gflops = {};  // one a burst
};

/// The least time a step can take on this machine: its work at the rates measured for work of that kind.
struct BoundBlock {
  std::optional<double> step_ms = {};             // the sum of the next three
  std::optional<double> products_ms = {};         // matrix products, each at the rate of its shape
  std::optional<double> exponentials_ms = {};     // empty: not counted
  std::optional<double> draws_ms = {};            // random numbers; empty: not counted
  std::optional<double> share_reached = {};       // step_ms over the median step
  std::optional<double> worker_peak_gflops = {};  // one worker's 512x512x512 products when nothing interrupts them
};

/// All threads together; empty where it was not measured.
struct BandwidthBlock {
  std::optional<double> before = {};  // the measurements of this length
  std::optional<double> after = {};
  std::optional<std::int64_t> array_bytes = {};  // of each of a thread's three arrays
};

/// What disturbed the timed steps, as counted beside them.
struct NoiseBlock {
  std::optional<double> outlier_share = {};     // of the step times
  std::optional<double> drift = {};             // median of the second half over that of the first, minus 1
  std::optional<double> peak_spread = {};       // of the sgemm bursts: (largest - smallest) / median
  std::optional<double> steal_share = {};       // of the time of the allowed processors
  std::optional<double> other_load_share = {};  // likewise, taken by other processes
  std::optional<std::int64_t> involuntary_switches = {};
  std::optional<std::int64_t> thermal_throttles = {};
  std::optional<std::int64_t> cgroup_throttles = {};
};

/// A group of a plan's steps in a profile; times are of one worker while all are busy.
struct ProfileRow {
  std::string phase = {};      // "forward" | "backward" | "optimizer" | "outside" (of all kernels)
  std::string operation = {};  // empty: all of the scope
  std::string scope = {};      // where in the model, "*" for any layer
  std::int64_t calls = 0;      // for one example
  double ns_per_token = 0;
  double time_share = 0;              // of the step
  std::optional<double> gflops = {};  // over its matrix products
  std::int64_t bytes = 0;             // that its arguments cover, for one example
  std::int64_t cached_bytes = 0;      // apart from those: of buffers that exist for one block of rows only
  std::optional<double> gb_per_s = {};
  std::optional<double> roofline_share = {};  // max(FLOP / peak, bytes / bandwidth) over its time
};

struct MemoryBlock {
  std::optional<std::int64_t> forecast_arena_bytes = {};
  std::optional<std::int64_t> peak_arena_bytes = {};
  std::optional<std::int64_t> peak_rss_bytes = {};
  std::optional<std::int64_t> lane_gradient_bytes = {};
  std::optional<std::int64_t> scratch_bytes = {};
  std::optional<BandwidthBlock> bandwidth_gb_per_s = {};  // bench only
};

struct EnvironmentBlock {
  std::string cpu = {};
  std::optional<std::string> cpu_id = {};     // "GenuineIntel-6-143-8": vendor, family, model, stepping
  std::optional<std::int64_t> l2_bytes = {};  // of one processor
  std::optional<std::int64_t> l3_bytes = {};
  std::string isa = {};                        // what oneDNN dispatches to
  std::vector<std::string> isa_flags = {};     // vector extensions the processor reports
  std::optional<std::string> kernel_isa = {};  // "avx2": what the kernels used; older records do not say
  std::int64_t cores = 0;                      // usable by this process: affinity and cgroup limits applied
  std::int64_t threads = 0;
  std::string affinity = {};  // "0-3,8"
  std::string onednn = {};
  std::string eigen = {};
  std::string compiler = {};
  std::string flags = {};
  std::string os = {};
  std::string lra_version = {};
  std::string git_commit = {};
  std::string started_at = {};  // ISO 8601, UTC
};

struct ResultRecord {
  int schema_version = kSchemaVersion;
  RunKind kind = RunKind::kTrain;
  RunStatus status = RunStatus::kInterrupted;
  TaskBlock task;
  AttentionBlock attention;
  std::string preset = {};
  std::optional<std::string> preset_sha256 = {};
  std::optional<std::string> config_hash = {};
  std::int64_t sequence_length = 0;
  ExecutedLengthBlock executed_length;
  std::uint64_t seed = 0;
  std::int64_t lanes = 0;
  std::int64_t threads = 0;
  std::optional<bool> denormals_flushed = {};
  ModelBlock model;
  ModelFlopsBlock model_flops;
  AccuracyBlock accuracy;
  std::optional<std::string> selection = {};  // "best_validation" | "last"
  std::optional<std::int64_t> best_step = {};
  LossBlock loss;
  SpeedBlock speed;
  MfuBlock mfu;
  MemoryBlock memory;
  std::optional<double> wall_s = {};
  EnvironmentBlock environment;
  std::vector<std::string> notes = {};
  std::optional<BoundBlock> bound = {};                     // bench only
  std::optional<NoiseBlock> noise = {};                     // bench only
  std::optional<std::vector<ProfileRow>> profile = {};      // `lra bench --profile` only, costliest first
  std::optional<InitialWeightsBlock> initial_weights = {};  // empty: drawn from the seed
};

/// All keys of the schema, in its order; `null` where an optional is empty or a number is not finite.
nlohmann::ordered_json to_json(const ResultRecord& record);

/// Reads a record of this or an older schema version: unknown keys are ignored, missing ones keep their defaults.
/// Throws RecordError.
ResultRecord record_from_json(const nlohmann::ordered_json& json);

/// Text of reports/schema/result.schema.json, as compiled into the program.
std::string_view result_schema();

}  // namespace lra::reports
