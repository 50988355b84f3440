#include "tasks/listops/generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "engine/errors.h"
#include "tasks/listops/expression.h"
#include "tasks/parallel.h"
#include "tasks/parameters.h"

namespace lra::tasks::listops {
namespace {

constexpr int64_t kMaxDepthLimit = 64;
constexpr int64_t kMaxArgsLimit = 64;
constexpr int64_t kMaxLengthLimit = 65536;
constexpr int64_t kBlockCandidates = 1024;        // drawn by one thread at a time
constexpr int64_t kMaxRoundBlocks = 64;           // between two looks at what was accepted
constexpr int64_t kHopelessCandidates = 1 << 23;  // in a row without a new expression

/// Mixes eight tokens at a time. Only distinguishes expressions within one run: never stored.
uint64_t hash_of(std::span<const uint8_t> tokens) {
  constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15;
  uint64_t hash = tokens.size() * kMultiplier;
  for (size_t at = 0; at < tokens.size(); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, tokens.data() + at, std::min(sizeof word, tokens.size() - at));
    hash = (hash ^ word) * kMultiplier;
    hash ^= hash >> 29;
  }
  return hash;
}

/// The accepted candidates of one block, in order.
struct Block {
  struct Accepted {
    int64_t candidate = 0;
    uint32_t begin = 0;
    uint32_t length = 0;
    int value = 0;
    uint64_t hash = 0;
  };
  std::vector<uint8_t> tokens;
  std::vector<Accepted> accepted;
};

Block draw_block(const GeneratorParameters& parameters, uint64_t seed, int64_t first_candidate) {
  Block block;
  Evaluator evaluator;
  for (int64_t i = first_candidate; i < first_candidate + kBlockCandidates; ++i) {
    const size_t begin = block.tokens.size();
    PhiloxStream random(seed, StreamPurpose::kExample, static_cast<uint64_t>(i));
    if (!draw_expression(parameters, random, block.tokens)) continue;
    const auto tokens = std::span<const uint8_t>(block.tokens).subspan(begin);
    const std::optional<int> value = evaluator.evaluate(tokens);
    LRA_CHECK(value.has_value(), fmt::format("candidate {} of seed {}: {}", i, seed, evaluator.fault().what));
    block.accepted.push_back(
        {i, static_cast<uint32_t>(begin), static_cast<uint32_t>(tokens.size()), *value, hash_of(tokens)});
  }
  block.tokens.shrink_to_fit();
  return block;
}

}  // namespace

GeneratorParameters parse_parameters(const ParameterTexts& texts) {
  const Parameters set("listops", texts, {"min_length", "max_length", "max_depth", "max_args"});
  const GeneratorParameters official;
  const GeneratorParameters parameters{
      .min_length = set.integer("min_length", official.min_length, 0, kMaxLengthLimit),
      .max_length = set.integer("max_length", official.max_length, 2, kMaxLengthLimit),
      .max_depth = set.integer("max_depth", official.max_depth, 1, kMaxDepthLimit),
      .max_args = set.integer("max_args", official.max_args, 2, kMaxArgsLimit),
  };
  if (parameters.min_length + 1 >= parameters.max_length) {
    throw UsageError(fmt::format("no length is greater than task.min_length={} and smaller than task.max_length={}",
                                 parameters.min_length, parameters.max_length),
                     "set both, e.g. --set task.min_length=10 --set task.max_length=100");
  }
  return parameters;
}

int64_t parse_max_length(const ParameterTexts& texts) {
  return Parameters("an import of listops", texts, {"max_length"})
      .integer("max_length", GeneratorParameters{}.max_length, 2, kMaxLengthLimit);
}

bool draw_expression(const GeneratorParameters& parameters, PhiloxStream& random, std::vector<uint8_t>& tokens) {
  // One word decides a node: its top two bits whether it is an operator (1 in 4), the other thirty which one. An
  // operator and its number of arguments are drawn together before the arguments; the official code draws the operator
  // after them, which is the same distribution.
  constexpr uint32_t kLowBits = 30;
  constexpr uint64_t kLowMask = (uint64_t{1} << kLowBits) - 1;
  const auto arities = static_cast<uint64_t>(parameters.max_args - 1);  // 2..max_args
  const size_t begin = tokens.size();
  std::array<int64_t, kMaxDepthLimit + 1> remaining{};  // arguments still to draw, at each depth
  int64_t depth = 1;
  int64_t length = 1;  // the least that the whole expression can still have: every node to come as a leaf
  remaining[1] = 1;    // the root is the only "argument" of depth 1
  while (true) {
    const uint32_t word = random.next();
    const uint64_t low = word & kLowMask;
    --remaining[static_cast<size_t>(depth)];
    if (word >> kLowBits == 0 && depth < parameters.max_depth) {
      const uint64_t choice = low * (arities * kOperators) >> kLowBits;
      const int64_t arguments = 2 + static_cast<int64_t>(choice / kOperators);
      length += 1 + arguments;  // a leaf becomes an operator, its arguments and a closing bracket
      if (length >= parameters.max_length) break;
      tokens.push_back(static_cast<uint8_t>(kMin + choice % kOperators));
      remaining[static_cast<size_t>(++depth)] = arguments;
    } else {
      tokens.push_back(static_cast<uint8_t>(kDigit0 + (low * kDigits >> kLowBits)));
    }
    while (depth > 1 && remaining[static_cast<size_t>(depth)] == 0) {
      tokens.push_back(kClose);
      --depth;
    }
    if (depth == 1) break;
  }
  const bool is_accepted = length > parameters.min_length && length < parameters.max_length;
  if (!is_accepted) tokens.resize(begin);
  return is_accepted;
}

std::span<const uint8_t> Corpus::tokens(int64_t i) const {
  const Expression& expression = expressions_[static_cast<size_t>(i)];
  return std::span(blocks_[expression.block]).subspan(expression.begin, expression.length);
}

/// Accepts blocks in the order of their candidates and refuses repetitions.
class CorpusBuilder {
 public:
  explicit CorpusBuilder(int64_t count) : count_(count) {}

  bool is_complete() const { return corpus_.size() == count_; }

  void add(Block block) {
    const auto index = static_cast<uint32_t>(corpus_.blocks_.size());
    corpus_.blocks_.push_back(std::move(block.tokens));
    for (const Block::Accepted& accepted : block.accepted) {
      if (is_complete()) return;
      corpus_.expressions_.push_back({index, accepted.begin, accepted.length, accepted.value});
      if (is_known(accepted.hash)) {
        corpus_.expressions_.pop_back();
        ++corpus_.duplicates_;
        continue;
      }
      by_hash_.emplace(accepted.hash, corpus_.size() - 1);
      corpus_.candidates_ = accepted.candidate + 1;
    }
  }

  int64_t accepted() const { return corpus_.size(); }
  int64_t last_new_candidate() const { return corpus_.candidates_; }
  Corpus take() { return std::move(corpus_); }

 private:
  /// Whether the last expression was there before it.
  bool is_known(uint64_t hash) const {
    const auto last = corpus_.tokens(corpus_.size() - 1);
    const auto [first, end] = by_hash_.equal_range(hash);
    return std::any_of(first, end, [&](const auto& entry) {
      const auto earlier = corpus_.tokens(entry.second);
      return std::equal(earlier.begin(), earlier.end(), last.begin(), last.end());
    });
  }

  int64_t count_;
  Corpus corpus_;
  std::unordered_multimap<uint64_t, int64_t> by_hash_;  // looked up only, never walked
};

Corpus draw_corpus(const GeneratorParameters& parameters, uint64_t seed, int64_t count, int threads,
                   const ProgressFn& progress) {
  CorpusBuilder builder(count);
  int64_t next_candidate = 0;
  while (!builder.is_complete()) {
    // A round of the expected size; how much is drawn in vain at the end changes nothing in the result.
    const double rate = (static_cast<double>(builder.accepted()) + 1) / (static_cast<double>(next_candidate) + 8);
    const double needed = static_cast<double>(count - builder.accepted()) / rate;
    const int64_t blocks = std::clamp<int64_t>(
        static_cast<int64_t>(std::min(needed, 1e9) / static_cast<double>(kBlockCandidates)) + 1, 1, kMaxRoundBlocks);
    std::vector<Block> round(static_cast<size_t>(blocks));
    parallel_for(blocks, threads, [&](int64_t b) {
      round[static_cast<size_t>(b)] = draw_block(parameters, seed, next_candidate + b * kBlockCandidates);
    });
    next_candidate += blocks * kBlockCandidates;
    for (Block& block : round) builder.add(std::move(block));
    if (progress) progress(static_cast<uint64_t>(builder.accepted()), static_cast<uint64_t>(count));
    if (!builder.is_complete() && next_candidate - builder.last_new_candidate() > kHopelessCandidates) {
      throw UsageError(fmt::format("only {} distinct expressions were found in {} candidates; {} are wanted",
                                   builder.accepted(), next_candidate, count),
                       "ask for fewer examples, or allow more lengths with task.min_length and task.max_length");
    }
  }
  return builder.take();
}

}  // namespace lra::tasks::listops
