// Looking tokens up in a table, with and without learned positions.
#pragma once

#include "engine/graph.h"

namespace lra::engine {

/// Row i of the result is table[tokens[i]]. table: [vocabulary, d], tokens: i32 [n]. Returns [n, d].
/// A token outside the table gives a row of NaN and no gradient: data are checked where they are read.
Var embedding(Var table, Var tokens);

/// embedding(table, tokens) + the first n rows of positions, in one pass. positions: [rows >= n, d]. With `places`, i32
/// [n], + positions[places[i]] instead; no place may occur twice (their gradients would be written by several threads
/// at once), and one outside the table gives a row of NaN and no gradient.
Var embed(Var table, Var positions, Var tokens, Var places = {});

}  // namespace lra::engine
