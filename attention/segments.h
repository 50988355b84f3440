// A sequence cut into segments of equal length, for mechanisms that make a landmark of each.
#pragma once

#include <vector>

#include "attention/attention.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"

namespace lra::attention {

/// num_landmarks, which means the same in every mechanism that has it.
inline ParameterSpec num_landmarks_spec(int64_t default_value, std::string help) {
  return {.name = "num_landmarks",
          .default_value = default_value,
          .unit = "tokens",
          .minimum = 1,
          .maximum = 4096,
          .help = std::move(help),
          .divides_n = true};
}

/// Tokens to a landmark. For lengths that no model has (formulas of the facts) rounded up.
inline int64_t segment_stride(int64_t nominal_length, const ParameterValues& parameters) {
  const int64_t num_landmarks = integer_of(parameters, "num_landmarks");
  return (nominal_length + num_landmarks - 1) / num_landmarks;
}

/// Segments of `stride` tokens that cover n; the last one is filled up with zeros.
struct Segments {
  Segments(int64_t n, int64_t tokens) : stride(tokens), count((n + tokens - 1) / tokens), missing(count * tokens - n) {}
  int64_t stride, count, missing;

  /// [h, n, d] -> [h, count, stride * d].
  Var rows(Var x) const { return engine::reshape(filled(x), {x.shape()[0], count, stride * x.shape()[2]}); }
  /// [h, n, d] -> [h, count, d], or [n, 1] -> [count, 1].
  Var sums(Var x) const {
    if (x.shape().rank() == 2) return engine::sum(engine::reshape(filled(x), {count, stride}), 1, true);
    return engine::sum(engine::reshape(filled(x), {x.shape()[0], count, stride, x.shape()[2]}), 2, false);
  }

 private:
  Var filled(Var x) const {
    if (missing == 0) return x;
    engine::Shape shape = x.shape();
    shape.set(-2, missing);
    const Var zeros =
        x.graph().constant("segment_end", shape, std::vector<double>(static_cast<size_t>(shape.elements())));
    const Var parts[] = {x, zeros};
    return engine::concat(parts, -2);
  }
};

/// The identity of m x m, times `scale`.
inline Var scaled_identity(engine::Graph& graph, int64_t m, double scale) {
  std::vector<double> values(static_cast<size_t>(m * m), 0.0);
  for (int64_t i = 0; i < m; ++i) values[static_cast<size_t>(i * m + i)] = scale;
  return graph.constant("identity", {m, m}, std::move(values));
}

/// p: [h, m, m] with rows and columns of landmarks that are not used (0 in `used`: [m, 1]) replaced by the identity's:
/// they are cut off from all others.
inline Var without_unused(Var p, Var used) {
  const int64_t m = p.shape()[1];
  const Var unused = engine::multiply(scaled_identity(p.graph(), m, 1), engine::affine(used, -1, 1));
  return engine::add(engine::multiply(engine::multiply(p, used), engine::reshape(used, {1, m})), unused);
}

}  // namespace lra::attention
