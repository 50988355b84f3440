// One mechanism on given arrays, with the kernels that training uses: `lra attend`.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "engine/graph.h"
#include "engine/parameters.h"

namespace lra::harness {

/// A dense array in f64, whatever it came from; f32 kernels get it rounded.
struct HostArray {
  engine::Shape shape;
  std::vector<double> values;
};

struct AttendRequest {
  std::string attention;
  attention::ParameterValues parameters;  // as given; completed and checked here
  std::vector<HostArray> arguments;       // attention::argument_names: q, k, v: [h, n, d_head]; x: [n, d_model]
  std::vector<double> mask;               // [n]; empty: all real
  std::vector<int32_t> positions;         // [n], of the rows in their sequence; empty: row i stands at i
  std::vector<double> output_gradient;    // of the output's shape; empty: no gradients
  engine::Dtype dtype = engine::Dtype::f32;
  engine::Kernels kernels = engine::Kernels::fused;
  bool causal = false;
  int64_t nominal_length = 0;  // 0: n
  uint64_t seed = 0;
  bool poison = false;  // fill the arena with NaN first (tests)
  int timed_runs = 0;   // more runs after the first, for AttendResult::fastest_run_s
  /// Values of the mechanism's own parameters by name; those not given are initialised from the seed.
  std::map<std::string, HostArray> parameter_values;
};

struct AttendResult {
  HostArray output;
  std::vector<HostArray> gradients;             // of the arguments, in order
  std::map<std::string, HostArray> parameters;  // the mechanism's own
  std::map<std::string, HostArray> parameter_gradients;
  int64_t arena_bytes = 0;
  int64_t product_flops = 0;  // of the matrix products that ran
  double fastest_run_s = 0;   // processor time of this thread, over the timed runs; 0 without them
};

/// Inputs and output of a mechanism's graph.
struct AttentionGraph {
  std::vector<engine::Var> arguments;
  engine::Var output;
};

/// Adds the forward pass of `request` to `graph`: inputs argument0, …, mask and, where given, positions, in this order.
/// Throws UsageError for shapes that do not fit each other or the mechanism.
AttentionGraph build_attention(engine::Graph& graph, const AttendRequest& request);

/// "--q, --k and --v" for the prefix "--".
std::string argument_text(const attention::Mechanism& mechanism, const std::string& prefix = "");

/// Throws UsageError for shapes that do not fit each other or the mechanism.
AttendResult attend(const AttendRequest& request);

}  // namespace lra::harness
