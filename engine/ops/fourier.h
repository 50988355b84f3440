// Mixing by the two-dimensional Fourier transform.
#pragma once

#include "engine/graph.h"

namespace lra::engine {

/// The real part of the Fourier transform of x along both axes, not normalised:
/// y_kl = sum over t, m of x_tm cos(2 pi (k t / n + l m / d)). x: [n, d]. Returns [n, d]. It is its own gradient.
/// The fused form takes O(n d (log n + d)), the definition products of n x n.
/// Source: Lee-Thorp et al. 2022 (FNet), equations 1 and 3.
Var fourier_mix(Var x);

/// 2.5 N log2 N for N = n d numbers: what is customarily counted for a fast transform of real numbers.
int64_t fourier_mix_flops(int64_t n, int64_t d);

}  // namespace lra::engine
