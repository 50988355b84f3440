// Numbers as people read them: binary byte units, thousands, durations.
#pragma once

#include <cstdint>
#include <string>

namespace lra::reports {

/// "512 B", "1.5 KiB", "310 MiB", "12.3 GiB": three significant digits.
std::string format_bytes(std::int64_t bytes);

/// "950", "1.23 k", "407 k", "1.90 M": three significant digits with a decimal prefix, "-" when not finite. The unit
/// follows, as in "407 k tokens/s".
std::string format_scaled(double value);

/// "96,000".
std::string format_integer(std::int64_t value);

/// "37.20 %" from 0.372, "-" when not finite.
std::string format_percent(double share);

/// "850 ms", "12.3 s", "4 m 05 s", "2 h 07 m", "-" when negative or not finite.
std::string format_duration_s(double seconds);

}  // namespace lra::reports
