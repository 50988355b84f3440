// The contract between a mechanism and the harness: facts it states, and the graph it builds.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/graph.h"
#include "engine/parameters.h"

namespace lra::attention {

using engine::Var;

/// A value of a mechanism's parameter.
using ParameterValue = std::variant<bool, int64_t, double, std::string>;
/// By name.
using ParameterValues = std::map<std::string, ParameterValue>;
/// One that is an integer.
int64_t integer_of(const ParameterValues& parameters, const std::string& name);

/// What a mechanism says of one of its parameters. A name means one thing in all mechanisms.
struct ParameterSpec {
  std::string name;               // "num_landmarks"
  ParameterValue default_value;   // its alternative is the parameter's type
  std::string unit;               // "tokens" (at most n), "features"; empty for pure numbers
  std::optional<double> minimum;  // both included
  std::optional<double> maximum;
  std::vector<std::string> choices;  // for strings
  std::string help;                  // one line
  bool divides_n = false;            // of an integer: the nominal length must be a multiple of it
};

/// How a mechanism behaves on sequences shorter than the task's nominal length.
enum class LengthSemantics {
  masked,   // running at the sequence's own (bucket) length with the mask is exact
  nominal,  // exact too, but the definition takes the task's nominal length
  padded,   // must run at the nominal length
};
std::string to_string(LengthSemantics semantics);

/// Which projections the harness makes for an Attention.
enum class Projections { qkv, shared_qk };

/// Sizes of a problem, for closed formulas.
struct ProblemSize {
  int64_t n = 0;
  int64_t heads = 0;
  int64_t d_head = 0;
  int64_t d_model = 0;  // of a Mixer
  bool causal = false;
  int64_t nominal_length = 0;  // at least n
};

/// Everything a mechanism states about itself.
struct Facts {
  std::string name;  // registry key: "cosformer"
  std::string full_name;
  std::string citation;         // authors, year, title, equation
  std::string time_complexity;  // in n: "O(n d_head^2)"
  std::string memory_complexity;
  int growth_exponent_time = 1;  // of n, what the measured growth is held against
  int growth_exponent_memory = 1;
  LengthSemantics length_semantics = LengthSemantics::masked;
  Projections projections = Projections::qkv;
  bool padding_mask = true;
  /// Whether rows that the mask hides can be left out: the mechanism knows where a row stands from Context::positions
  /// alone, and makes the same of the others without it.
  bool masked_rows_droppable = false;
  bool causal = false;
  bool cross = false;              // queries and keys of different lengths
  bool deterministic = true;       // same output for same input at evaluation
  bool attention_dropout = false;  // drops attention weights in training
  /// Largest difference of f32 kernels from f64 ones, relative to the largest element. Only what amplifies rounding by
  /// its definition, such as the inverse of an ill-conditioned matrix, has reason to say more.
  double single_precision_error = 2e-5;
  std::vector<ParameterSpec> parameters;
  /// Model FLOPs of one forward pass of all heads: 2mnk over the products of the definition (declared, not executed).
  std::function<int64_t(const ProblemSize&, const ParameterValues&)> forward_flops;
  /// The same of the backward pass, where it is not twice as much: iterations that have their gradient in closed form.
  std::function<int64_t(const ProblemSize&, const ParameterValues&)> backward_flops;
};

/// What a mechanism gets besides its arguments.
struct Context {
  engine::Graph& graph;
  std::string scope;  // of its layer, for names of parameters and dropout sites
  int64_t layer = 0;
  int64_t num_layers = 1;
  int64_t nominal_length = 0;  // the task's padded length
  bool training = false;
  bool causal = false;
  double attention_dropout = 0.0;     // 0 outside training
  uint64_t seed = 0;                  // for random but fixed constants (Purpose::features)
  const ParameterValues& parameters;  // complete and checked against the specs
  std::map<std::string, Var>& state;  // carried from layer to layer
  /// i32 [n]: where the rows stand in the sequence, from 0 to below nominal_length, all different, those of real tokens
  /// ascending; not valid() where row i stands at i. Only with Facts::masked_rows_droppable.
  Var positions = {};

  int64_t integer(const std::string& name) const;
  double real(const std::string& name) const;
  bool flag(const std::string& name) const;
  const std::string& text(const std::string& name) const;

  /// A learned parameter of the mechanism in this layer, named `name` in its scope.
  Var parameter(const std::string& name, const engine::Shape& shape, const engine::Initializer& initializer) const;
};

/// A mechanism. `facts` of a registered object do not change.
class Mechanism {
 public:
  virtual ~Mechanism() = default;
  virtual Facts facts() const = 0;
  /// Refuses parameters that do not fit a problem (n is the nominal length). Throws UsageError.
  virtual void check(const ParameterValues& parameters, const ProblemSize& size) const;
};

/// A mechanism on projected heads.
class Attention : public Mechanism {
 public:
  /// q, k (the same as q with Projections::shared_qk), v: [h, n, d_head], mask: [n] of 1 (real token) and 0. Returns
  /// [h, n, d_head]; rows of masked queries are arbitrary but finite.
  virtual Var attend(const Context& context, Var q, Var k, Var v, Var mask) const = 0;
};

/// A mechanism that owns its projections.
class Mixer : public Mechanism {
 public:
  /// x: [n, d_model], mask: [n]. Returns [n, d_model].
  virtual Var mix(const Context& context, Var x, Var mask) const = 0;
};

/// The arrays that a mechanism works on besides the mask: q, k, v (q, v where they share a projection), or x.
std::vector<std::string> argument_names(const Mechanism& mechanism);

}  // namespace lra::attention
