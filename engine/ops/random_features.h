// What attention by random features needs: the features' directions, and shifts that keep exponentials in range.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/graph.h"

namespace lra::engine {

/// x, through which no gradient flows back.
Var stop_gradient(Var x);

/// m directions of d components, N(0, I) each. Orthogonal: those of each d in a row are at right angles, with the
/// lengths that independent ones would have. A pure function of the arguments; `number` tells draws apart.
/// Source: Choromanski et al. 2021 (Performers), section 2.4.
std::vector<double> random_directions(uint64_t seed, uint64_t site, uint64_t number, int64_t m, int64_t d,
                                      bool orthogonal);

/// [m, d] of directions that are drawn anew every `redraw_steps` steps of training, from the seed of the run; at
/// evaluation they are those of step 0. redraw_steps > 0.
Var redrawn_directions(Graph& graph, uint64_t site, int64_t m, int64_t d, bool orthogonal, int64_t redraw_steps);

/// The largest w_r . x_i - |x_i|^2 / 2 over all directions and all rows with mask 1, of each head; 0 without any. No
/// gradient flows back. The fused form keeps no exponents.
/// x: [h, n, d], w: [m, d], mask: [n]. Returns [h, 1, 1].
Var largest_exponent(Var x, Var w, Var mask);

}  // namespace lra::engine
