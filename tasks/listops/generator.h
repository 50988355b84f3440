// The ListOps generator: random expressions in the official distribution, the same for every number of threads.
//
// Source: the recursive distribution of google-research/long-range-arena, data/listops.py. The random stream is ours:
// candidate i is a pure function of (seed, i), so candidates are drawn in parallel and accepted in order.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "tasks/philox_stream.h"
#include "tasks/task.h"

namespace lra::tasks::listops {

/// The official constants; all are recorded in dataset.json and can be set with `--set task.<name>=<value>`.
struct GeneratorParameters {
  int64_t min_length = 500;   // tokens; accepted lengths are strictly greater …
  int64_t max_length = 2000;  // … and strictly smaller
  int64_t max_depth = 10;     // levels, that of the leaves included
  int64_t max_args = 10;      // arguments of an operator are uniform in 2..max_args
};

/// Reads `task.min_length`, `task.max_length`, `task.max_depth` and `task.max_args`.
/// Throws: UsageError for other keys (with near matches), for no whole numbers and for values that allow no example.
GeneratorParameters parse_parameters(const ParameterTexts& texts);

/// For an import, which knows only `task.max_length`: the number of tokens that no expression may reach.
int64_t parse_max_length(const ParameterTexts& texts);

/// Appends the expression of one candidate to `tokens`. False, and nothing appended, when its length is not accepted.
bool draw_expression(const GeneratorParameters& parameters, PhiloxStream& random, std::vector<uint8_t>& tokens);

/// Distinct accepted expressions.
class Corpus {
 public:
  int64_t size() const { return static_cast<int64_t>(expressions_.size()); }
  std::span<const uint8_t> tokens(int64_t i) const;
  int value(int64_t i) const { return expressions_[static_cast<size_t>(i)].value; }

  /// Candidates looked at, up to and including the last accepted one, and those refused as repetitions.
  int64_t candidates() const { return candidates_; }
  int64_t duplicates() const { return duplicates_; }

 private:
  friend class CorpusBuilder;

  struct Expression {
    uint32_t block = 0;
    uint32_t begin = 0;
    uint32_t length = 0;
    int value = 0;
  };

  std::vector<std::vector<uint8_t>> blocks_;  // tokens as the threads drew them
  std::vector<Expression> expressions_;
  int64_t candidates_ = 0;
  int64_t duplicates_ = 0;
};

/// Draws candidates until `count` distinct expressions are accepted. Throws: UsageError when the parameters do not
/// allow that many; what `progress` throws.
Corpus draw_corpus(const GeneratorParameters& parameters, uint64_t seed, int64_t count, int threads,
                   const ProgressFn& progress);

}  // namespace lra::tasks::listops
