#include "attention/plugin_guard.h"

#include <fmt/format.h>

#include <exception>
#include <new>
#include <utility>

#include "engine/errors.h"
#include "engine/interrupted.h"

namespace lra::attention {
namespace {

/// What a guarded mechanism is besides.
class FromPlugin {
 public:
  explicit FromPlugin(std::string origin) : origin_(std::move(origin)) {}
  virtual ~FromPlugin() = default;
  const std::string& origin() const { return origin_; }

 private:
  std::string origin_;
};

/// The message of the exception that is being handled.
std::string caught_text() {
  try {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

/// To be called in a handler. `where`: "in facts()".
[[noreturn]] void rethrow_as_usage(const std::string& name, const std::string& origin, const std::string& where) {
  try {
    throw;
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (...) {
    throw UsageError(fmt::format("[{}] {} failed {}: {}", name, origin, where, caught_text()),
                     "mend the plug-in, build it again, and check it with `lra selftest --plugin PATH`");
  }
}

/// Facts, parameters and formulas of a plug-in's mechanism; `Kind` is Attention or Mixer.
template <class Kind>
class Guarded : public Kind, public FromPlugin {
 public:
  Guarded(std::unique_ptr<const Mechanism> mechanism, std::string origin)
      : FromPlugin(std::move(origin)), mechanism_(std::move(mechanism)), facts_(first_facts()) {
    guard(facts_.forward_flops, "in Facts::forward_flops");
    guard(facts_.backward_flops, "in Facts::backward_flops");
  }

  Facts facts() const override { return facts_; }
  void check(const ParameterValues& parameters, const ProblemSize& size) const override {
    call("in check()", [&] { mechanism_->check(parameters, size); });
  }

 protected:
  template <class F>
  auto call(const char* where, F&& body) const {
    try {
      return body();
    } catch (...) {
      rethrow_as_usage(facts_.name, origin(), where);
    }
  }
  /// A graph that goes on with anything else would fail in words of the harness.
  Var require_like(Var result, Var argument, const char* function) const {
    if (result.valid() && &result.graph() == &argument.graph() && result.type() == argument.type()) return result;
    throw UsageError(
        fmt::format("[{}] {}: {} returned {}", facts_.name, origin(), function,
                    result.valid() ? "a value of shape " + result.shape().to_string() : "no value"),
        fmt::format("it returns what has the shape and dtype of its argument, {} here", argument.shape().to_string()));
  }
  const Kind& mechanism() const { return dynamic_cast<const Kind&>(*mechanism_); }

 private:
  using Formula = std::function<int64_t(const ProblemSize&, const ParameterValues&)>;
  void guard(Formula& formula, const char* where) const {
    if (!formula) return;
    formula = [this, where, inner = formula](const ProblemSize& size, const ParameterValues& parameters) {
      return call(where, [&] { return inner(size, parameters); });
    };
  }

  Facts first_facts() const {
    try {
      return mechanism_->facts();
    } catch (...) {
      rethrow_as_usage("plug-in", origin(), "in facts()");  // it has no name yet
    }
  }

  std::unique_ptr<const Mechanism> mechanism_;
  Facts facts_;
};

class GuardedAttention final : public Guarded<Attention> {
 public:
  using Guarded::Guarded;
  Var attend(const Context& context, Var q, Var k, Var v, Var mask) const override {
    return require_like(call("while it built its graph", [&] { return mechanism().attend(context, q, k, v, mask); }), v,
                        "attend()");
  }
};

class GuardedMixer final : public Guarded<Mixer> {
 public:
  using Guarded::Guarded;
  Var mix(const Context& context, Var x, Var mask) const override {
    return require_like(call("while it built its graph", [&] { return mechanism().mix(context, x, mask); }), x,
                        "mix()");
  }
};

}  // namespace

std::unique_ptr<const Mechanism> guard_plugin(std::unique_ptr<const Mechanism> mechanism, const std::string& origin) {
  if (dynamic_cast<const Attention*>(mechanism.get()) != nullptr)
    return std::make_unique<const GuardedAttention>(std::move(mechanism), origin);
  if (dynamic_cast<const Mixer*>(mechanism.get()) != nullptr)
    return std::make_unique<const GuardedMixer>(std::move(mechanism), origin);
  throw UsageError(fmt::format("[plug-in] {} registers what is neither an Attention nor a Mixer", origin),
                   "derive its class from lra::attention::Attention (q, k, v) or lra::attention::Mixer (x)");
}

std::string plugin_of(const Mechanism& mechanism) {
  const auto* from_plugin = dynamic_cast<const FromPlugin*>(&mechanism);
  return from_plugin == nullptr ? "" : from_plugin->origin();
}

void rethrow_from_planning(const Mechanism& mechanism) {
  const std::string origin = plugin_of(mechanism);
  if (origin.empty()) throw;
  rethrow_as_usage(mechanism.facts().name, origin, "while its gradients and kernels were made");
}

void rethrow_from_running(const Mechanism& mechanism) {
  const std::string origin = plugin_of(mechanism);
  if (origin.empty()) throw;
  try {
    throw;
  } catch (const DataError&) {
    throw;
  } catch (const ResourceError&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const Interrupted&) {
    throw;
  } catch (...) {
    throw RunError(fmt::format("[{}] {} failed while it ran: {}", mechanism.facts().name, origin, caught_text()),
                   "a kernel (Kernel::run) may not throw: mend the plug-in and build it again");
  }
}

}  // namespace lra::attention
