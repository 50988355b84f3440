// Layer normalisation of the rows of a matrix.
#pragma once

#include "engine/graph.h"

namespace lra::engine {

/// y = gamma (x - mean) / sqrt(variance + epsilon) + beta, mean and (biased) variance over each row.
/// x: [n, d], gamma, beta: [d]. Returns [n, d]. Source: Ba et al. 2016, equations 3 and 4.
Var layer_norm(Var x, Var gamma, Var beta, double epsilon);

}  // namespace lra::engine
