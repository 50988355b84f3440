#include "engine/errors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace lra {
namespace {

/// Levenshtein distance.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substitute, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string suggest(std::string_view name, const std::vector<std::string>& known) {
  std::vector<std::string> near;
  for (const std::string& candidate : known) {
    const bool close = edit_distance(name, candidate) <= std::max<size_t>(1, candidate.size() / 3);
    const bool contains = name.size() >= 3 && candidate.find(name) != std::string::npos;
    if (close || contains) near.push_back(fmt::format("`{}`", candidate));
  }
  const std::string all = fmt::format("known: {}", fmt::join(known, ", "));
  return near.empty() ? all : fmt::format("did you mean {}? {}", fmt::join(near, " or "), all);
}

namespace detail {
void check_failed(const char* condition, const char* file, int line, const std::string& message) {
  throw std::logic_error(fmt::format("internal check `{}` failed at {}:{}: {}", condition, file, line, message));
}
}  // namespace detail

}  // namespace lra
