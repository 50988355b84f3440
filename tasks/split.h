// One split (train, validation or test) of a prepared dataset: memory-mapped sequences and their labels.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/io/npy.h"

namespace lra::tasks {

enum class SplitName { kTrain, kValidation, kTest };

inline constexpr std::array<SplitName, 3> kSplitNames{SplitName::kTrain, SplitName::kValidation, SplitName::kTest};

/// "train", "validation" or "test".
std::string_view split_text(SplitName name);

/// Throws: UsageError listing the three names.
SplitName parse_split(std::string_view text);

/// A number of examples for each split.
struct SplitSizes {
  int64_t train = 0;
  int64_t validation = 0;
  int64_t test = 0;

  int64_t total() const { return train + validation + test; }
  int64_t& operator[](SplitName name);
  int64_t operator[](SplitName name) const;
  bool operator==(const SplitSizes&) const = default;
};

/// Token ids are stored as one or two bytes each.
enum class TokenType { kUint8, kUint16 };

/// A view of the three arrays of one split; made by Dataset, valid as long as it.
class Split {
 public:
  Split() = default;

  SplitName name() const { return name_; }
  int64_t size() const { return static_cast<int64_t>(labels_.size()); }
  int inputs_per_example() const { return inputs_per_example_; }
  TokenType token_type() const { return token_type_; }
  int64_t total_tokens() const { return static_cast<int64_t>(offsets_.back()); }

  /// Number of real tokens of input `input` of an example.
  int64_t length(int64_t example, int input = 0) const;
  int label(int64_t example) const { return labels_[static_cast<size_t>(example)]; }

  /// The token ids where they lie. It is a programmer's mistake to ask for the type that is not stored.
  std::span<const uint8_t> tokens(int64_t example, int input = 0) const;
  std::span<const uint16_t> tokens16(int64_t example, int input = 0) const;

  /// Writes the first min(length, to.size()) ids into `to`, 0 (padding) after them; returns how many were real.
  int64_t copy_tokens(int64_t example, int input, std::span<int32_t> to) const;

 private:
  friend class Dataset;

  size_t sequence(int64_t example, int input) const;

  SplitName name_ = SplitName::kTrain;
  int inputs_per_example_ = 1;
  TokenType token_type_ = TokenType::kUint8;
  std::span<const uint8_t> tokens8_;
  std::span<const uint16_t> tokens16_;
  std::span<const uint64_t> offsets_;  // [examples * inputs_per_example + 1]
  std::span<const uint8_t> labels_;    // [examples]
};

}  // namespace lra::tasks
