// What every mechanism must hold, checked by walking the registry: shared by the test suite and `lra selftest`.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/attend.h"

namespace lra::harness {

/// How the detail of a check begins that an exception ended.
inline constexpr const char* kThrew = "threw: ";

/// One promise and whether it is kept.
struct Finding {
  std::string check;  // "gradient_matches_finite_differences"
  bool passed = false;
  std::string detail;  // figures
  std::string repro;   // a command that shows it again
};

/// Of the problems: enough for heads to be told apart, few enough for finite differences.
inline constexpr int64_t kContractHeads = 2, kContractHeadWidth = 8;

/// A problem of random arguments for a mechanism, of the right kind and with its gradient.
/// `real`: number of real tokens, the rest of the n is padding. Parameters are the defaults, or what of them fits the
/// nominal length (n where it is not given).
AttendRequest random_request(const std::string& attention, int64_t n, int64_t real, uint64_t seed,
                             int64_t nominal_length = 0);

/// Runs all checks of one mechanism: shapes, finite output, plain against finite differences in f64, f32 kernels
/// against plain f64 (values and every gradient), padding, masks with holes or of nothing but pads, a future that is
/// not seen, repeatability, poisoned memory, short and odd lengths, growth of arena bytes, refusal of what it cannot
/// do, the declared FLOPs. `parameters`: those that are not to have their defaults.
std::vector<Finding> check_contract(const std::string& attention, const attention::ParameterValues& parameters = {});

/// One set of parameters for each choice that is not a default: the named variants of a mechanism.
std::vector<attention::ParameterValues> variants(const attention::Facts& facts);

/// What a mechanism's author has done wrong where this check fails, and where to look: a sentence or two.
std::string meaning_of(const Finding& finding);

}  // namespace lra::harness
