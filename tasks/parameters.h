// Reads the parameters of a task, `--set task.<name>=<value>`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tasks/task.h"

namespace lra::tasks {

/// What a user set, checked against what there is. Names are without "task.".
class Parameters {
 public:
  /// `of` names who has the parameters, for messages: "an import of listops".
  /// Throws: UsageError for a key that is none of `known`, with near matches.
  Parameters(std::string of, ParameterTexts texts, const std::vector<std::string>& known);

  /// Throws: UsageError for what is not a whole number between `low` and `high`.
  int64_t integer(const std::string& name, int64_t otherwise, int64_t low, int64_t high) const;

  /// Throws: UsageError for what is not a number between `low` and `high`.
  double real(const std::string& name, double otherwise, double low, double high) const;

  /// "2,3". Throws: UsageError for what is not 1 to kMostNumbers numbers between `low` and `high`.
  static constexpr size_t kMostNumbers = 16;
  std::vector<int64_t> integers(const std::string& name, std::vector<int64_t> otherwise, int64_t low,
                                int64_t high) const;
  std::vector<double> reals(const std::string& name, std::vector<double> otherwise, double low, double high) const;

  /// Throws: UsageError for what is neither "true" nor "false".
  bool flag(const std::string& name, bool otherwise) const;

  /// Throws: UsageError for what is not one of `choices`; the first is the default.
  std::string choice(const std::string& name, const std::vector<std::string>& choices) const;

  /// One line of text. Throws: UsageError for an empty or overlong one, or for control characters.
  std::string text(const std::string& name, const std::string& otherwise) const;

 private:
  const std::string* find(const std::string& name) const;

  std::string of_;
  ParameterTexts texts_;
};

}  // namespace lra::tasks
