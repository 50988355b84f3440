// The registry of mechanisms: filled by registration objects before main and while plug-ins are loaded, read-only
// afterwards.
#pragma once

#include <functional>
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

/// The defaults of `facts`, or what is nearest below them and fits sequences of `nominal_length` tokens: numbers of
/// tokens are at most `most_tokens` and at most that length, and divide it where they must.
ParameterValues fitting_parameters(const Facts& facts, int64_t nominal_length, int64_t most_tokens);

/// Throws UsageError when the mechanism cannot be causal but is asked to, when a number of tokens among its parameters
/// exceeds size.n or does not divide it and must, and whatever its own check throws.
void check_usage(const Mechanism& mechanism, const ParameterValues& parameters, const ProblemSize& size);

/// Runs `load`, which makes registration objects (of the plug-in `origin`, a file name), and adds what they bring: all
/// of it, or nothing where it throws. Returns the names, sorted. Exceptions of these mechanisms become errors that name
/// `origin` (attention/plugin_guard.h). Throws what `load` throws; UsageError for a mechanism whose facts cannot be had
/// or used, whose name is taken, or one of whose parameters has another meaning elsewhere.
std::vector<std::string> register_from(const std::string& origin, const std::function<void()>& load);

/// Put one in an anonymous namespace of the mechanism's file: `const Registration kRegistration(make_unique<Mine>());`
/// Inside the program it aborts when the name is taken or a parameter's name is used with another meaning, naming both
/// files; in a plug-in that is a UsageError of register_from().
class Registration {
 public:
  explicit Registration(std::unique_ptr<const Mechanism> mechanism, const char* file = __builtin_FILE());
};

}  // namespace lra::attention
