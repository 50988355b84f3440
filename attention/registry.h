// The registry of mechanisms: filled by registration objects before main, read-only afterwards.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "attention/attention.h"

namespace lra::attention {

/// Names of all mechanisms, sorted.
std::vector<std::string> names();

/// Throws UsageError with near matches when there is no such mechanism.
const Mechanism& find(std::string_view name);

/// Completes `given` with the defaults of `facts` and checks types, ranges and choices.
/// Throws UsageError naming the parameter, its value, its range, and near matches of unknown names.
ParameterValues resolve_parameters(const Facts& facts, const ParameterValues& given);

/// The defaults of `facts` for sequences of `nominal_length` tokens: numbers of tokens are at most that.
ParameterValues fitting_parameters(const Facts& facts, int64_t nominal_length);

/// Throws UsageError when the mechanism cannot be causal but is asked to, when a number of tokens among its parameters
/// exceeds size.n, and whatever its own check throws.
void check_usage(const Mechanism& mechanism, const ParameterValues& parameters, const ProblemSize& size);

/// Put one in an anonymous namespace of the mechanism's file: `const Registration kRegistration(make_unique<Mine>());`
/// Aborts the program when the name is taken or a parameter's name is used with another meaning, naming both files.
class Registration {
 public:
  explicit Registration(std::unique_ptr<const Mechanism> mechanism, const char* file = __builtin_FILE());
};

}  // namespace lra::attention
