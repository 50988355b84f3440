// Sums over what comes before, along the rows.
#pragma once

#include "engine/graph.h"

namespace lra::engine {

/// y[p, i, :] = sum over j < i of x[p, j, :]; the first row is 0. x: [planes, rows, columns] or [rows, columns];
/// returns its shape.
Var sum_before(Var x);

}  // namespace lra::engine
