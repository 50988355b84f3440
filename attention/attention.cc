#include "attention/attention.h"

#include <fmt/format.h>

#include "engine/errors.h"

namespace lra::attention {
namespace {

template <class T>
const T& get(const Context& context, const std::string& name) {
  const auto found = context.parameters.find(name);
  LRA_CHECK(found != context.parameters.end() && std::holds_alternative<T>(found->second),
            fmt::format("parameter `{}` is not declared with this type", name));
  return std::get<T>(found->second);
}

}  // namespace

std::string to_string(LengthSemantics semantics) {
  switch (semantics) {
    case LengthSemantics::masked:
      return "masked";
    case LengthSemantics::nominal:
      return "nominal";
    case LengthSemantics::padded:
      return "padded";
  }
  return "?";
}

int64_t Context::integer(const std::string& name) const { return get<int64_t>(*this, name); }
double Context::real(const std::string& name) const { return get<double>(*this, name); }
bool Context::flag(const std::string& name) const { return get<bool>(*this, name); }
const std::string& Context::text(const std::string& name) const { return get<std::string>(*this, name); }

Var Context::parameter(const std::string& name, const engine::Shape& shape,
                       const engine::Initializer& initializer) const {
  return graph.parameter(graph.parameters().declare(scope + "." + name, shape, initializer));
}

int64_t integer_of(const ParameterValues& parameters, const std::string& name) {
  return std::get<int64_t>(parameters.at(name));
}

std::vector<std::string> argument_names(const Mechanism& mechanism) {
  if (dynamic_cast<const Mixer*>(&mechanism) != nullptr) return {"x"};
  if (mechanism.facts().projections == Projections::shared_qk) return {"q", "v"};
  return {"q", "k", "v"};
}

void Mechanism::check(const ParameterValues&, const ProblemSize&) const {}

}  // namespace lra::attention
