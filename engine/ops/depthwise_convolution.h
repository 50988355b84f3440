// Convolution along the rows, one filter a plane.
#pragma once

#include "engine/graph.h"

namespace lra::engine {

/// y[h, i, :] = sum over t of w[h, t] x[h, i + t - (taps - 1) / 2, :], rows outside x being zero: what PyTorch's Conv2d
/// does with a kernel of taps x 1, as many groups as channels and a padding of (taps - 1) / 2. No bias.
/// x: [h, n, d], w: [h, taps], taps odd. Returns [h, n, d].
Var depthwise_convolution(Var x, Var w);

}  // namespace lra::engine
