// Looking tokens up in a table, with and without learned positions.
#pragma once

#include "engine/graph.h"

namespace lra::engine {

/// Row i of the result is table[tokens[i]]. table: [vocabulary, d], tokens: i32 [n]. Returns [n, d].
/// A token outside the table gives a row of NaN and no gradient: data are checked where they are read.
Var embedding(Var table, Var tokens);

/// embedding(table, tokens) + the first n rows of positions, in one pass. positions: [rows >= n, d].
Var embed(Var table, Var positions, Var tokens);

}  // namespace lra::engine
