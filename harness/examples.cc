#include "harness/examples.h"

#include <fmt/format.h>

#include <numeric>

#include "engine/errors.h"
#include "engine/random.h"

namespace lra::harness {

void require_known_tokens(const tasks::Dataset& dataset, tasks::SplitName name) {
  const tasks::Split& split = dataset.split(name);
  const auto check = [&](auto tokens, int64_t example) {
    const auto bad = std::find_if(tokens.begin(), tokens.end(), [&](auto id) { return id >= dataset.vocab_size(); });
    if (bad == tokens.end()) return;
    throw DataError(
        fmt::format("`{}`: the {} split has the token {} in example {}, but the vocabulary has {}",
                    dataset.directory().string(), tasks::split_text(name), *bad, example, dataset.vocab_size()),
        "the data were altered: see `lra data verify`, and make them again with --force");
  };
  for (int64_t example = 0; example < split.size(); ++example)
    for (int input = 0; input < split.inputs_per_example(); ++input)
      if (split.token_type() == tasks::TokenType::kUint8) {
        check(split.tokens(example, input), example);
      } else {
        check(split.tokens16(example, input), example);
      }
}

template <class Use>
auto SplitExamples::with_tokens(int64_t example, int input, Use&& use) const {
  const auto cut = [&](auto tokens) {
    return use(tokens.first(std::min(tokens.size(), static_cast<size_t>(max_length_))));
  };
  const int64_t at = examples_[example];
  return split().token_type() == tasks::TokenType::kUint8 ? cut(split().tokens(at, input))
                                                          : cut(split().tokens16(at, input));
}

SplitExamples::SplitExamples(Subset examples, int64_t max_length, bool drops_zeros)
    : examples_(std::move(examples)), max_length_(max_length) {
  if (!drops_zeros) return;
  kept_lengths_.reserve(static_cast<size_t>(size() * inputs()));
  for (int64_t example = 0; example < size(); ++example)
    for (int input = 0; input < inputs(); ++input)
      kept_lengths_.push_back(
          with_tokens(example, input, [](auto tokens) { return static_cast<int32_t>(count_kept_tokens(tokens)); }));
}

int64_t SplitExamples::length(int64_t example, int input) const {
  if (!kept_lengths_.empty()) return kept_lengths_[static_cast<size_t>(example * inputs() + input)];
  return std::min(split().length(examples_[example], input), max_length_);
}

void SplitExamples::copy_tokens(int64_t example, int input, std::span<int32_t> tokens) const {
  const std::span<int32_t> real = tokens.first(std::min(tokens.size(), static_cast<size_t>(length(example, input))));
  if (kept_lengths_.empty()) {
    split().copy_tokens(examples_[example], input, real);
  } else {
    auto to = real.begin();
    with_tokens(example, input, [&](auto all) {
      for_kept_tokens(all, [&](size_t, auto token) {
        if (to != real.end()) *to++ = token;
      });
    });
  }
  std::fill(tokens.begin() + static_cast<std::ptrdiff_t>(real.size()), tokens.end(), 0);
}

void SplitExamples::copy_positions(int64_t example, int input, std::span<int32_t> positions) const {
  if (kept_lengths_.empty()) return Examples::copy_positions(example, input, positions);
  auto to = positions.begin();
  with_tokens(example, input, [&](auto all) {
    for_kept_tokens(all, [&](size_t place, auto) {
      if (to != positions.end()) *to++ = static_cast<int32_t>(place);
    });
  });
}

RandomExamples::RandomExamples(int64_t count, int64_t length, const TaskShape& task, uint64_t seed)
    : inputs_(task.inputs_per_example), length_(length) {
  engine::Stream stream(seed, engine::Purpose::data, "bench");
  tokens_.resize(static_cast<size_t>(count * inputs_ * length));
  for (int32_t& token : tokens_)  // 0 is padding
    token = 1 + static_cast<int32_t>(stream.below(static_cast<uint64_t>(task.vocab_size - 1)));
  labels_.resize(static_cast<size_t>(count));
  for (int32_t& label : labels_) label = static_cast<int32_t>(stream.below(static_cast<uint64_t>(task.num_classes)));
}

void RandomExamples::copy_tokens(int64_t example, int input, std::span<int32_t> tokens) const {
  const int64_t count = std::min(length_, static_cast<int64_t>(tokens.size()));
  std::copy_n(tokens_.begin() + (example * inputs_ + input) * length_, count, tokens.begin());
  std::fill(tokens.begin() + count, tokens.end(), 0);
}

BatchOrder::BatchOrder(int64_t examples, int64_t batch_size, uint64_t seed)
    : examples_(examples), batch_size_(batch_size), seed_(seed), permutation_(static_cast<size_t>(examples)) {}

void BatchOrder::draw(int64_t epoch) {
  std::iota(permutation_.begin(), permutation_.end(), int64_t{0});
  engine::Stream stream(
      engine::mix_key({seed_, static_cast<uint64_t>(engine::Purpose::shuffle), static_cast<uint64_t>(epoch)}));
  for (int64_t i = examples_ - 1; i > 0; --i)
    std::swap(permutation_[static_cast<size_t>(i)],
              permutation_[static_cast<size_t>(stream.below(static_cast<uint64_t>(i) + 1))]);
  drawn_epoch_ = epoch;
}

void BatchOrder::batch(int64_t step, std::span<int64_t> batch) {
  int64_t position = step * batch_size_;
  for (int64_t& example : batch) {
    if (position / examples_ != drawn_epoch_) draw(position / examples_);
    example = permutation_[static_cast<size_t>(position % examples_)];
    ++position;
  }
}

}  // namespace lra::harness
