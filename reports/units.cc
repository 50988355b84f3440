#include "reports/units.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string_view>

namespace lra::reports {
namespace {

/// Three significant digits without an exponent: 1.23, 12.3, 123.
std::string three_digits(double value) {
  const double size = std::abs(value);
  return fmt::format("{:.{}f}", value, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

template <size_t N>
std::string scale(double value, double step, const std::array<std::string_view, N>& units) {
  size_t unit = 0;
  while (unit + 1 < N && std::abs(value) >= step - 0.5) {
    value /= step;
    ++unit;
  }
  const bool whole = unit == 0 && value == std::floor(value);
  const std::string number = whole ? fmt::format("{:.0f}", value) : three_digits(value);
  return units[unit].empty() ? number : fmt::format("{} {}", number, units[unit]);
}

}  // namespace

std::string format_bytes(std::int64_t bytes) {
  static constexpr std::array<std::string_view, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  return scale(static_cast<double>(bytes), 1024, kUnits);
}

std::string format_scaled(double value) {
  static constexpr std::array<std::string_view, 6> kPrefixes = {"", "k", "M", "G", "T", "P"};
  return std::isfinite(value) ? scale(value, 1000, kPrefixes) : "-";
}

std::string format_integer(std::int64_t value) {
  std::string digits = fmt::format("{}", value);
  const size_t first = value < 0 ? 1 : 0;
  for (size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string format_percent(double share) { return std::isfinite(share) ? fmt::format("{:.2f} %", 100 * share) : "-"; }

std::string format_duration_s(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "-";
  if (seconds < 0.9995) return three_digits(seconds * 1e3) + " ms";
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  if (seconds >= 1e15) return "-";
  const auto total_s = static_cast<std::int64_t>(std::llround(seconds));
  if (total_s < 3600) return fmt::format("{} m {:02} s", total_s / 60, total_s % 60);
  if (total_s < 48 * 3600) return fmt::format("{} h {:02} m", total_s / 3600, total_s % 3600 / 60);
  return fmt::format("{} d {:02} h", total_s / 86400, total_s % 86400 / 3600);
}

}  // namespace lra::reports
