// The configuration of a run: plain structs, and the one list of their fields that parsing, help, validation, JSON and
// the configuration hash are made from.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lra::harness {

// Each enumeration with the names that its values have in a configuration, in the same order.
enum class Gelu { kErf, kTanh };
constexpr auto names_of(Gelu) { return std::array{"erf", "tanh"}; }

enum class Positions { kLearned, kSinusoidal };
constexpr auto names_of(Positions) { return std::array{"learned", "sinusoidal"}; }

enum class Pooling { kCls, kMean, kMeanNominal, kMeanPadded };
constexpr auto names_of(Pooling) { return std::array{"cls", "mean", "mean_nominal", "mean_padded"}; }

enum class Initialisation { kXavierUniform, kTorchLinear, kLecunNormal };
constexpr auto names_of(Initialisation) { return std::array{"xavier_uniform", "torch_linear", "lecun_normal"}; }

enum class InputForm { kTokens, kReal };
constexpr auto names_of(InputForm) { return std::array{"tokens", "real"}; }

enum class MaskedRows { kAuto, kDrop, kKeep };
constexpr auto names_of(MaskedRows) { return std::array{"auto", "drop", "keep"}; }

enum class PairFeatures { kConcat, kNli };
constexpr auto names_of(PairFeatures) { return std::array{"concat", "nli"}; }

enum class NominalRounding { kNone, kPowerOfTwo };
constexpr auto names_of(NominalRounding) { return std::array{"none", "power_of_two"}; }

enum class Schedule { kRsqrt, kCosine, kOnecycleLinear, kConstant };
constexpr auto names_of(Schedule) { return std::array{"rsqrt", "cosine", "onecycle_linear", "constant"}; }

enum class Optimizer { kAdam, kAdamw };
constexpr auto names_of(Optimizer) { return std::array{"adam", "adamw"}; }

enum class Selection { kBestValidation, kLast };
constexpr auto names_of(Selection) { return std::array{"best_validation", "last"}; }

enum class SplitPolicy { kPaper, kHoldout };
constexpr auto names_of(SplitPolicy) { return std::array{"paper", "holdout"}; }

enum class Kernels { kFused, kPlain };
constexpr auto names_of(Kernels) { return std::array{"fused", "plain"}; }

/// The name of an enumeration's value: to_text(Gelu::kErf) == "erf".
template <class Enum>
requires requires(Enum value) { names_of(value); }
std::string to_text(Enum value) { return names_of(value).at(static_cast<size_t>(value)); }

struct TaskConfig {
  std::string name;
  SplitPolicy split_policy = SplitPolicy::kHoldout;
  bool mask_zero_tokens = false;
};

struct AttentionConfig {
  std::string name;
  bool causal = false;
  /// `attention.<parameter>` as given; the mechanism checks them against its own parameter list and puts its defaults
  /// in before the configuration is hashed.
  std::map<std::string, nlohmann::json> parameters;
  std::string plugin = {};         // file name of the shared object it comes from; empty: part of the program
  std::string plugin_sha256 = {};  // of that file
};

struct ModelConfig {
  int64_t layers = 2;
  int64_t d_model = 64;
  int64_t heads = 2;
  int64_t d_head = 0;  // 0 until derive()
  int64_t d_ffn = 128;
  Gelu gelu = Gelu::kErf;
  double dropout = 0.1;
  double attention_dropout = 0.1;
  Positions positions = Positions::kLearned;
  double position_init_std = 0.02;
  double embedding_init_std = 0.02;
  InputForm input = InputForm::kTokens;
  MaskedRows masked_rows = MaskedRows::kAuto;  // until the mechanism settles it
  int64_t vocab_rows = 0;                      // 0: the task's vocabulary
  int64_t nominal_length = 0;                  // 0 until derive()
  NominalRounding nominal_rounding = NominalRounding::kNone;
  bool projection_bias = true;
  Initialisation projection_init = Initialisation::kTorchLinear;
  Initialisation ffn_init = Initialisation::kTorchLinear;
  double mlp_bias_init_std = 0;
  Pooling pooling = Pooling::kMean;
  int64_t d_classifier = 0;  // 0 until derive()
  int64_t classifier_layers = 1;
  PairFeatures pair_features = PairFeatures::kNli;
  Initialisation classifier_init = Initialisation::kTorchLinear;
  double layer_norm_epsilon = 1e-5;

  bool has_cls() const { return pooling == Pooling::kCls; }
  /// Rows of the longest sequence: the nominal length, plus one with CLS.
  int64_t max_rows() const { return nominal_length + (has_cls() ? 1 : 0); }
};

struct OptimisationConfig {
  int64_t steps = 5000;
  int64_t batch_size = 32;
  Optimizer optimizer = Optimizer::kAdamw;
  double learning_rate = 1e-4;
  Schedule schedule = Schedule::kConstant;
  int64_t warmup_steps = 0;
  int64_t steps_per_cycle = 5000;
  double onecycle_div = 25;
  double onecycle_final_div = 1e4;
  bool cycle_momentum = true;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  double clip_norm = 0;
  double clip_value = 0;
  int64_t lanes = 8;
  Kernels kernels = Kernels::kFused;
  Selection selection = Selection::kBestValidation;
  int64_t eval_every = 250;
  int64_t checkpoint_every = 500;
  int64_t log_every = 50;
  std::string init_from;    // file of the weights to start from; empty: drawn from the seed
  std::string init_sha256;  // of that file
};

struct TrainConfig {
  std::string preset;  // as it was asked for; the keys below say what it came to
  int64_t sequence_length = 0;
  uint64_t seed = 0;
  TaskConfig task;
  AttentionConfig attention;
  ModelConfig model;
  OptimisationConfig train;

  /// Whether the model gets its tokens without those that task.mask_zero_tokens masks.
  bool drops_masked_rows() const { return task.mask_zero_tokens && model.masked_rows == MaskedRows::kDrop; }
};

/// One key of the configuration: everything that is known of it, and how to reach it in a TrainConfig.
struct ConfigField {
  std::string key;     // dotted: "train.batch_size"
  std::string kind;    // "integer" | "number" | "boolean" | "choice" | "text"
  std::string unit;    // "" for a pure number
  double minimum = 0;  // of integers and numbers
  double maximum = 0;
  std::vector<std::string> choices;  // of a choice
  bool hashed = true;                // can change the numbers, hence is part of the configuration hash
  /// Values that are left out of the hash; the first is how runs were before the key existed.
  std::vector<nlohmann::json> unsaid = {""};
  /// Newer than runs that are kept.
  bool is_late() const { return unsaid.front() != nlohmann::json(""); }
  bool assignable = true;  // by --set; the others have a flag of their own, which `help` names
  std::string help;        // one line
  std::function<nlohmann::json(const TrainConfig&)> get;
  /// Throws UsageError naming the key for a value of the wrong kind or out of range.
  std::function<void(TrainConfig&, const nlohmann::json&)> set;
};

/// All fields but the mechanism's own `attention.<parameter>`, in the order of help and config.json.
const std::vector<ConfigField>& config_fields();

/// Sets `key` from JSON. Throws UsageError for an unknown key (with near matches), a wrong kind or range.
void set_value(TrainConfig& config, const std::string& key, const nlohmann::json& value);

/// Sets one `key=value` as `--set` takes it. Numbers may be written 5000, 5e3 or 0.1; mechanism parameters are read as
/// JSON where they are JSON (128, 0.5, true, [1,2]) and as text otherwise. Throws UsageError.
void set_assignment(TrainConfig& config, const std::string& assignment);

/// Sets every key of a JSON object whose keys are dotted, nested or both. Throws UsageError for an unknown or repeated
/// key; `where` names the object in messages (a file name).
void set_object(TrainConfig& config, const nlohmann::json& object, const std::string& where);

/// Whether such an object is the whole configuration that a run has kept, rather than some settings: it has every key
/// that all programs wrote.
bool is_recorded(const nlohmann::json& object, const std::string& where);

/// Sets a recorded configuration: keys that it lacks are newer than the run, and get the values that its program acted
/// by.
void set_recorded(TrainConfig& config, const nlohmann::json& object, const std::string& where);

/// The (dotted key, value) pairs of such an object, in its order. Throws UsageError for a repeated key or a non-object.
std::vector<std::pair<std::string, nlohmann::json>> flatten(const nlohmann::json& object, const std::string& where);

/// Replaces the zeros that mean "derived": d_head, d_classifier and nominal_length.
void derive(TrainConfig& config);

/// Checks what single ranges cannot (after derive()). Throws UsageError.
void validate(const TrainConfig& config);

/// What is allowed but odd, in sentences, for the log and the record's notes.
std::vector<std::string> remarks(const TrainConfig& config);

/// The whole configuration, nested by section; reading it back with set_object() gives the same configuration.
nlohmann::ordered_json to_json(const TrainConfig& config);

/// First 12 hexadecimal digits of the SHA-256 of the canonical JSON of every hashed field, all mechanism parameters and
/// the dataset. Independent of the seed, threads, paths and of how often is logged or checkpointed. Call it after
/// derive() and with the mechanism's defaults filled in.
std::string config_hash(const TrainConfig& config, std::string_view dataset_sha256);

/// Canonical JSON (sorted keys, no spaces) of the fields that `chosen` selects, mechanism parameters included. Values
/// that say nothing are left out (ConfigField::unsaid; texts that are empty).
std::string canonical_json(const TrainConfig& config, const std::function<bool(const ConfigField&)>& chosen);

/// A table of all keys: default, unit, range or choices, help. For `--help-config` and the manual.
std::string config_help();

}  // namespace lra::harness
