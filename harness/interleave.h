// The order in which several candidates are measured, so that drift of the machine hits all alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lra::harness {

/// `parts` parts of one candidate's work, one after another.
struct Turn {
  size_t candidate = 0;
  int64_t parts = 0;
};

/// Deals the parts of each candidate's work into as many rounds as the one with the fewest has parts. Each round has a
/// turn of every candidate with its share of parts, in an order shuffled from the seed. Candidates without work get no
/// turn.
std::vector<Turn> interleave(std::span<const int64_t> parts_needed, uint64_t seed);

}  // namespace lra::harness
