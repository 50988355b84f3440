#include "engine/errors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace lra {
namespace {

/// Edits from a to b, where exchanging two neighbours is one edit (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> table(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) table[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) table[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i)
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = table[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      table[i][j] = std::min({replaced, table[i - 1][j] + 1, table[i][j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        table[i][j] = std::min(table[i][j], table[i - 2][j - 2] + 1);
    }
  return table[a.size()][b.size()];
}

}  // namespace

std::string suggest(std::string_view name, const std::vector<std::string>& known) {
  std::vector<std::pair<size_t, std::string>> near;  // nearest first
  for (const std::string& candidate : known) {
    const size_t distance = edit_distance(name, candidate);
    const bool close = distance <= std::max<size_t>(1, candidate.size() / 3);
    const bool contains = name.size() >= 3 && candidate.find(name) != std::string::npos;
    if (close || contains) near.emplace_back(distance, fmt::format("`{}`", candidate));
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  std::vector<std::string> quoted;
  quoted.reserve(near.size());
  for (const auto& [distance, text] : near) quoted.push_back(text);
  const std::string all = fmt::format("known: {}", fmt::join(known, ", "));
  return quoted.empty() ? all : fmt::format("did you mean {}? {}", fmt::join(quoted, " or "), all);
}

namespace detail {
void check_failed(const char* condition, const char* file, int line, const std::string& message) {
  throw std::logic_error(fmt::format("internal check `{}` failed at {}:{}: {}", condition, file, line, message));
}
}  // namespace detail

}  // namespace lra
