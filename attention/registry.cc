#include "attention/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <utility>

#include "attention/plugin_guard.h"
#include "engine/errors.h"

namespace lra::attention {
namespace {

struct Entry {
  std::unique_ptr<const Mechanism> mechanism;
  Facts facts;
  std::string file;
};

using Entries = std::map<std::string, Entry, std::less<>>;

Entries& entries() {
  static Entries map;
  return map;
}

/// What the registration objects of a plug-in bring while it is loaded.
struct Arrivals {
  std::string origin;
  Entries entries = {};
  std::exception_ptr error = {};  // the first one: an exception may not leave a registration object
};

Arrivals* arrivals = nullptr;

[[noreturn]] void refuse(const std::string& message) {
  std::fputs((message + "\n").c_str(), stderr);
  std::abort();
}

std::string type_name(const ParameterValue& value) {
  constexpr const char* kNames[] = {"a boolean", "an integer", "a number", "a string"};
  return kNames[value.index()];
}

std::string text_of(const ParameterValue& value) {
  return std::visit([](const auto& v) { return fmt::format("{}", v); }, value);
}

/// An integer serves where a number is asked for; nothing else is converted.
ParameterValue convert(const Facts& facts, const ParameterSpec& spec, const ParameterValue& value) {
  if (value.index() == spec.default_value.index()) return value;
  if (std::holds_alternative<double>(spec.default_value) && std::holds_alternative<int64_t>(value))
    return static_cast<double>(std::get<int64_t>(value));
  throw UsageError(fmt::format("[{}] attention.{} = {}: expected {}", facts.name, spec.name, text_of(value),
                               type_name(spec.default_value)),
                   fmt::format("the default is {}; {}", text_of(spec.default_value), spec.help));
}

void check_range(const Facts& facts, const ParameterSpec& spec, const ParameterValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    for (const std::string& choice : spec.choices)
      if (*text == choice) return;
    throw UsageError(fmt::format("[{}] attention.{} = {}", facts.name, spec.name, *text), suggest(*text, spec.choices));
  }
  if (std::holds_alternative<bool>(value)) return;
  const double number =
      std::holds_alternative<int64_t>(value) ? static_cast<double>(std::get<int64_t>(value)) : std::get<double>(value);
  const bool low = spec.minimum && !(number >= *spec.minimum), high = spec.maximum && !(number <= *spec.maximum);
  if (!low && !high && std::isfinite(number)) return;
  throw UsageError(fmt::format("[{}] attention.{} = {} is outside {}..{} {}", facts.name, spec.name, text_of(value),
                               spec.minimum ? fmt::format("{}", *spec.minimum) : "",
                               spec.maximum            ? fmt::format("{}", *spec.maximum)
                               : spec.unit == "tokens" ? "n"
                                                       : "",
                               spec.unit),
                   fmt::format("the default is {}; {}", text_of(spec.default_value), spec.help));
}

/// The divisor of n that is nearest to `value` (1..n) on this side of it (`step` -1 or 1), or `value` itself.
int64_t divisor_near(int64_t n, int64_t value, int64_t step) {
  while (n % value != 0) value += step;
  return value;
}

/// Throws the UsageError of an integer parameter that must divide n, and does not.
[[noreturn]] void refuse_remainder(const Facts& facts, const ParameterSpec& spec, int64_t value, int64_t n) {
  const int64_t most = spec.maximum ? std::min(n, static_cast<int64_t>(*spec.maximum)) : n;
  const int64_t below = divisor_near(n, value, -1), above = divisor_near(n, value, 1);
  throw UsageError(
      fmt::format("[{}] attention.{} = {} does not divide the nominal length n = {}", facts.name, spec.name, value, n),
      fmt::format("choose a divisor of n from 1 to {}, such as {} (--set attention.{}=...), or make n a multiple: {} "
                  "(model.nominal_length, less one with a CLS token; `lra attend --nominal-length`)",
                  most, above <= most ? fmt::format("{} or {}", below, above) : fmt::format("{}", below), spec.name,
                  (n / value + 1) * value));
}

/// Why a mechanism from `file` cannot stand beside `others`; empty when it can.
std::string conflict(const Facts& facts, const std::string& file, const Entries& others) {
  for (const auto& [name, entry] : others) {
    if (name == facts.name) return fmt::format("attention `{}` is registered by {} and by {}", name, entry.file, file);
    for (const ParameterSpec& theirs : entry.facts.parameters)
      for (const ParameterSpec& ours : facts.parameters)
        if (ours.name == theirs.name && (ours.unit != theirs.unit || ours.divides_n != theirs.divides_n ||
                                         ours.default_value.index() != theirs.default_value.index()))
          return fmt::format("parameter `{}` has two meanings, in {} and in {}", ours.name, entry.file, file);
  }
  return "";
}

/// Throws UsageError for facts that the program cannot work with: what a test refuses in a mechanism of the tree.
void check_facts(const Facts& facts, const std::string& origin) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789_";
  const auto is_key = [&](const std::string& name) {
    return !name.empty() && name.find_first_not_of(kLetters) == std::string::npos;
  };
  if (!is_key(facts.name))
    throw UsageError(fmt::format("[plug-in] {}: `{}` cannot name an attention", origin, facts.name),
                     "Facts::name is typed on command lines and names directories: use a-z, 0-9 and _");
  for (const ParameterSpec& spec : facts.parameters)
    if (!is_key(spec.name) || spec.name == "name" || spec.name == "causal" || spec.name.starts_with("plugin"))
      throw UsageError(fmt::format("[plug-in] {}: `{}` cannot name a parameter of {}", origin, spec.name, facts.name),
                       "it is set by --set attention.<name>=…: use a-z, 0-9 and _, but not name, causal or plugin…");
  resolve_parameters(facts, {});  // the defaults lie within their own ranges and choices
}

/// The entry of a mechanism that `arrivals->origin` registers.
Entry arriving(std::unique_ptr<const Mechanism> mechanism) {
  const std::string& origin = arrivals->origin;
  std::unique_ptr<const Mechanism> guarded = guard_plugin(std::move(mechanism), origin);
  Facts facts = guarded->facts();
  check_facts(facts, origin);
  for (const Entries* others : {&std::as_const(entries()), &std::as_const(arrivals->entries)})
    if (const std::string problem = conflict(facts, origin, *others); !problem.empty())
      throw UsageError("[plug-in] " + problem, "give yours another name and build it again");
  return {std::move(guarded), std::move(facts), origin};
}

}  // namespace

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& [name, entry] : entries()) all.push_back(name);
  return all;
}

const Mechanism& find(std::string_view name) {
  const auto found = entries().find(name);
  if (found == entries().end())
    throw UsageError(fmt::format("unknown attention `{}`", name),
                     suggest(name, names()) + "; one from a plug-in needs --plugin PATH/libNAME.so");
  return *found->second.mechanism;
}

ParameterValues resolve_parameters(const Facts& facts, const ParameterValues& given) {
  ParameterValues resolved;
  std::vector<std::string> known;
  for (const ParameterSpec& spec : facts.parameters) {
    known.push_back(spec.name);
    const auto found = given.find(spec.name);
    const ParameterValue value = found == given.end() ? spec.default_value : convert(facts, spec, found->second);
    check_range(facts, spec, value);
    resolved.emplace(spec.name, value);
  }
  for (const auto& [name, value] : given)
    if (!resolved.contains(name))
      throw UsageError(fmt::format("[{}] has no parameter attention.{}", facts.name, name), suggest(name, known));
  return resolved;
}

ParameterValues fitting_parameters(const Facts& facts, int64_t nominal_length, int64_t most_tokens) {
  ParameterValues fitting = resolve_parameters(facts, {});
  for (const ParameterSpec& spec : facts.parameters) {
    auto* count = std::get_if<int64_t>(&fitting[spec.name]);
    if (count == nullptr || spec.unit != "tokens") continue;
    *count = std::min({*count, nominal_length, most_tokens});
    if (spec.divides_n) *count = divisor_near(nominal_length, *count, -1);
  }
  return fitting;
}

void check_usage(const Mechanism& mechanism, const ParameterValues& parameters, const ProblemSize& size) {
  const Facts facts = mechanism.facts();
  if (size.causal && !facts.causal)
    throw UsageError(fmt::format("[{}] has no causal form", facts.name),
                     "leave attention.causal at false, or choose a causal mechanism (`lra list attention`)");
  for (const ParameterSpec& spec : facts.parameters) {
    const auto* count = std::get_if<int64_t>(&parameters.at(spec.name));
    if (count != nullptr && spec.unit == "tokens" && *count > size.n)
      throw UsageError(
          fmt::format("[{}] attention.{} = {}, but sequences have n = {} tokens", facts.name, spec.name, *count,
                      size.n),
          fmt::format("choose at most {} (--set attention.{}=...), or longer sequences (--length)", size.n, spec.name));
    if (count != nullptr && spec.divides_n && size.n % *count != 0) refuse_remainder(facts, spec, *count, size.n);
  }
  mechanism.check(parameters, size);
}

std::vector<std::string> register_from(const std::string& origin, const std::function<void()>& load) {
  Arrivals arrived{.origin = origin};
  arrivals = &arrived;
  try {
    load();
  } catch (...) {
    arrivals = nullptr;
    throw;
  }
  arrivals = nullptr;
  if (arrived.error) std::rethrow_exception(arrived.error);
  std::vector<std::string> added;
  for (const auto& [name, entry] : arrived.entries) added.push_back(name);
  entries().merge(std::move(arrived.entries));
  return added;
}

Registration::Registration(std::unique_ptr<const Mechanism> mechanism, const char* file) {
  if (arrivals != nullptr) {
    try {
      Entry entry = arriving(std::move(mechanism));
      std::string name = entry.facts.name;
      arrivals->entries.emplace(std::move(name), std::move(entry));
    } catch (...) {
      if (!arrivals->error) arrivals->error = std::current_exception();
    }
    return;
  }
  Facts facts = mechanism->facts();
  if (const std::string problem = conflict(facts, file, entries()); !problem.empty()) refuse(problem);
  const std::string name = facts.name;
  entries().emplace(name, Entry{std::move(mechanism), std::move(facts), file});
}

}  // namespace lra::attention
