// Operations that only rearrange: windows on a value, and values put side by side.
#pragma once

#include <span>
#include <vector>

#include "engine/graph.h"

namespace lra::engine {

/// The same elements in row-major order under another shape.
Var reshape(Var x, const Shape& shape);
/// Axes a and b exchanged (negative axes count from the end).
Var transpose(Var x, int a = -2, int b = -1);
/// x cut along `axis` into parts of equal extent.
std::vector<Var> split(Var x, int parts, int axis);
/// Elements begin <= i < end of `axis`.
Var slice(Var x, int axis, int64_t begin, int64_t end);
/// The parts put one after another along `axis`.
Var concat(std::span<const Var> parts, int axis);
/// [n, h * d] -> [h, n, d].
Var split_heads(Var x, int64_t heads);
/// [h, n, d] -> [n, h * d].
Var merge_heads(Var x);
/// Rows of x by index: x: [n, d] or [h, n, d], indices: i32 [m] -> [m, d] or [h, m, d].
Var gather(Var x, Var indices);

}  // namespace lra::engine
