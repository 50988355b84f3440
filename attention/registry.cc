#include "attention/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "engine/errors.h"

namespace lra::attention {
namespace {

struct Entry {
  std::unique_ptr<const Mechanism> mechanism;
  Facts facts;
  std::string file;
};

std::map<std::string, Entry, std::less<>>& entries() {
  static std::map<std::string, Entry, std::less<>> map;
  return map;
}

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
                               spec.maximum ? fmt::format("{}", *spec.maximum) : "", spec.unit),
                   fmt::format("the default is {}; {}", text_of(spec.default_value), spec.help));
}

}  // namespace

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& [name, entry] : entries()) all.push_back(name);
  return all;
}

const Mechanism& find(std::string_view name) {
  const auto found = entries().find(name);
  if (found == entries().end()) throw UsageError(fmt::format("unknown attention `{}`", name), suggest(name, names()));
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

ParameterValues fitting_parameters(const Facts& facts, int64_t nominal_length) {
  ParameterValues fitting = resolve_parameters(facts, {});
  for (const ParameterSpec& spec : facts.parameters)
    if (auto* count = std::get_if<int64_t>(&fitting[spec.name]); count != nullptr && spec.unit == "tokens")
      *count = std::min(*count, nominal_length);
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
  }
  mechanism.check(parameters, size);
}

Registration::Registration(std::unique_ptr<const Mechanism> mechanism, const char* file) {
  Facts facts = mechanism->facts();
  for (const auto& [name, entry] : entries()) {
    if (name == facts.name) refuse(fmt::format("attention `{}` is registered by {} and by {}", name, entry.file, file));
    for (const ParameterSpec& theirs : entry.facts.parameters)
      for (const ParameterSpec& ours : facts.parameters)
        if (ours.name == theirs.name &&
            (ours.unit != theirs.unit || ours.default_value.index() != theirs.default_value.index()))
          refuse(fmt::format("parameter `{}` has two meanings, in {} and in {}", ours.name, entry.file, file));
  }
  const std::string name = facts.name;
  entries().emplace(name, Entry{std::move(mechanism), std::move(facts), file});
}

}  // namespace lra::attention
