// Dropout with masks that are drawn, never stored: a pure function of (seed, step, example, site, plane, row, column).
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/graph.h"

namespace lra::engine {

/// Probability in units of 1/65536, the granularity of a decision: p = round(65536 p) / 65536.
uint32_t dropout_threshold(double probability);

/// The name of a place that drops: hashes the scope of the model and what is dropped there.
uint64_t dropout_site(std::string_view scope, std::string_view what);

/// x with each element zeroed with probability p, the others scaled by 1/(1-p). x: [rows, columns] or
/// [planes, rows, columns]. The same for every dtype, bucket, lane and tile. p = 0 returns x.
Var dropout(Var x, double probability, uint64_t site);

/// residual + dropout(x): one pass in the fused form. Shapes as x.
Var add_dropout(Var residual, Var x, double probability, uint64_t site);

}  // namespace lra::engine
