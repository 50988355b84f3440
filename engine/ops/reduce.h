// Reductions along one axis, and softmax.
#pragma once

#include "engine/graph.h"

namespace lra::engine {

/// Sum along `axis`; the axis is kept with extent 1 or dropped.
Var sum(Var x, int axis, bool keep_axis);
/// Largest element along `axis`. Its gradient goes to the first of equals.
Var max(Var x, int axis, bool keep_axis);
/// x repeated along axes of extent 1 (or missing in front) up to `shape`.
Var broadcast_to(Var x, const Shape& shape);
/// softmax along the last axis, shifted by the row's maximum. A row of equal -infinities is not allowed: mask with a
/// finite bias.
Var softmax(Var x);

}  // namespace lra::engine
