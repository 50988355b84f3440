#include "harness/attend.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <limits>

#include "attention/plugin_guard.h"
#include "attention/registry.h"
#include "engine/autodiff.h"
#include "engine/errors.h"
#include "engine/lanes.h"
#include "engine/plan.h"

namespace lra::harness {
namespace {

using engine::Dtype;
using engine::Shape;
using engine::Var;

void check_shapes(const AttendRequest& request, const attention::Mechanism& mechanism) {
  const auto fail = [&](const std::string& what, const std::string& hint) {
    throw UsageError(fmt::format("[attend] {}: {}", request.attention, what), hint);
  };
  const std::vector<std::string> names = attention::argument_names(mechanism);
  const bool mixer = names.front() == "x";
  if (request.arguments.size() != names.size())
    fail(fmt::format("{}takes {}, not {} arrays", mixer ? "is a mixer and " : "", argument_text(mechanism),
                     request.arguments.size()),
         fmt::format("give {}", argument_text(mechanism, "--")));
  const Shape& first = request.arguments[0].shape;
  if (first.rank() != (mixer ? 2 : 3) || first.elements() == 0)
    fail(fmt::format("got an array of shape {}", first.to_string()),
         mixer ? "x is [n, d_model]" : "q, k and v are [h, n, d_head]");
  for (const HostArray& argument : request.arguments)
    if (!(argument.shape == first))
      fail(fmt::format("shapes {} and {} differ", first.to_string(), argument.shape.to_string()),
           "q, k and v have one shape [h, n, d_head]");
  const int64_t n = first[-2];
  if (!request.mask.empty() && static_cast<int64_t>(request.mask.size()) != n)
    fail(fmt::format("the mask has {} elements for n = {}", request.mask.size(), n), "the mask is [n], 1 = real token");
  if (!request.positions.empty() && !mechanism.facts().masked_rows_droppable)
    fail("positions are given, but its facts say nothing of masked_rows_droppable", "leave the positions out");
  if (!request.positions.empty() && static_cast<int64_t>(request.positions.size()) != n)
    fail(fmt::format("{} positions are given for n = {}", request.positions.size(), n), "the positions are [n]");
  for (const int32_t position : request.positions)
    if (position < 0 || position >= std::max(n, request.nominal_length))
      fail(fmt::format("the position {} is outside 0..{}", position, std::max(n, request.nominal_length) - 1),
           "raise the nominal length");
  for (const double bit : request.mask)
    if (bit != 0.0 && bit != 1.0) fail(fmt::format("the mask holds {}", bit), "the mask is 1 (real token) or 0 (pad)");
  if (!request.output_gradient.empty() && static_cast<int64_t>(request.output_gradient.size()) != first.elements())
    fail(fmt::format("the output gradient has {} elements, the output {}", request.output_gradient.size(),
                     first.elements()),
         "--grad-out has the output's shape");
}

/// The arrays of one execution, in the dtype of its graph.
template <class T>
class Execution {
 public:
  Execution(const AttendRequest& request, const engine::Plan& plan, const engine::Parameters& parameters)
      : plan_(plan), arena_(plan.arena_bytes()) {
    for (const HostArray& argument : request.arguments) add(argument.values);
    const auto n = static_cast<size_t>(request.arguments[0].shape[-2]);
    add(request.mask.empty() ? std::vector<double>(n, 1.0) : request.mask);
    const bool has_gradient = !request.output_gradient.empty();
    if (has_gradient) add(request.output_gradient);
    for (std::vector<T>& array : arrays_) pointers_.push_back(array.data());
    positions_ = request.positions;
    if (!positions_.empty()) pointers_.insert(pointers_.end() - (has_gradient ? 1 : 0), positions_.data());
    weights_.resize(static_cast<size_t>(parameters.flat_elements()));
    gradients_.resize(weights_.size());
    parameters.initialize<T>(request.seed, weights_);
    for (const engine::Parameter& parameter : parameters.list())
      if (const auto given = request.parameter_values.find(parameter.name); given != request.parameter_values.end())
        std::transform(given->second.values.begin(), given->second.values.end(), weights_.begin() + parameter.offset,
                       [](double value) { return static_cast<T>(value); });
    if (request.poison) arena_.poison();
    bindings_ = {.arena = arena_.data(),
                 .parameters = weights_.data(),
                 .gradients = gradients_.data(),
                 .inputs = pointers_,
                 .keys = {.seed = request.seed}};
    plan_.run(bindings_);
  }

  /// Processor seconds of the fastest of `runs` runs.
  double time(int runs) const {
    double fastest = std::numeric_limits<double>::infinity();
    for (int i = 0; i < runs; ++i) {
      const double start = thread_seconds();
      plan_.run(bindings_);
      fastest = std::min(fastest, thread_seconds() - start);
    }
    return runs > 0 ? fastest : 0;
  }

  HostArray output(const std::string& name) const {
    const engine::View view = plan_.output(name, bindings_);
    return {view.shape(), widened(view.as<T>(), view.shape().elements())};
  }
  void read_parameters(const engine::Parameters& parameters, AttendResult& result) const {
    for (const engine::Parameter& parameter : parameters.list()) {
      const int64_t count = parameter.shape.elements();
      result.parameters[parameter.name] = {parameter.shape, widened(weights_.data() + parameter.offset, count)};
      result.parameter_gradients[parameter.name] = {parameter.shape,
                                                    widened(gradients_.data() + parameter.offset, count)};
    }
  }

 private:
  void add(const std::vector<double>& values) {
    std::vector<T> array(values.size());
    std::transform(values.begin(), values.end(), array.begin(), [](double value) { return static_cast<T>(value); });
    arrays_.push_back(std::move(array));
  }
  static double thread_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }
  static std::vector<double> widened(const T* values, int64_t count) { return {values, values + count}; }

  const engine::Plan& plan_;
  engine::Arena arena_;
  std::vector<std::vector<T>> arrays_;
  std::vector<int32_t> positions_;
  std::vector<void*> pointers_;
  std::vector<T> weights_, gradients_;
  engine::Bindings bindings_;
};

template <class T>
AttendResult execute(const AttendRequest& request, const engine::Plan& plan, const engine::Parameters& parameters) {
  const Execution<T> execution(request, plan, parameters);
  AttendResult result{
      .output = execution.output("output"), .arena_bytes = plan.arena_bytes(), .product_flops = plan.product_flops()};
  result.fastest_run_s = execution.time(request.timed_runs);
  if (!request.output_gradient.empty())
    for (size_t i = 0; i < request.arguments.size(); ++i)
      result.gradients.push_back(execution.output(fmt::format("gradient{}", i)));
  execution.read_parameters(parameters, result);
  return result;
}

}  // namespace

std::string argument_text(const attention::Mechanism& mechanism, const std::string& prefix) {
  const std::vector<std::string> names = attention::argument_names(mechanism);
  std::string text = prefix + names.front();
  for (size_t i = 1; i < names.size(); ++i) text += (i + 1 == names.size() ? " and " : ", ") + prefix + names[i];
  return text;
}

AttentionGraph build_attention(engine::Graph& graph, const AttendRequest& request) {
  const attention::Mechanism& mechanism = attention::find(request.attention);
  check_shapes(request, mechanism);
  const Shape& shape = request.arguments[0].shape;
  const int64_t n = shape[-2];
  if (request.nominal_length != 0 && request.nominal_length < n)
    throw UsageError(fmt::format("[attend] the nominal length {} is below n = {}", request.nominal_length, n),
                     "leave it out, or give one of at least n");
  const auto parameters = attention::resolve_parameters(mechanism.facts(), request.parameters);
  const int64_t nominal = request.nominal_length > 0 ? request.nominal_length : n;
  const bool heads = shape.rank() == 3;
  attention::check_usage(mechanism, parameters,
                         {.n = nominal,
                          .heads = heads ? shape[0] : 1,
                          .d_head = shape[-1],
                          .d_model = heads ? shape[0] * shape[-1] : shape[-1],
                          .causal = request.causal,
                          .nominal_length = nominal});
  std::map<std::string, Var> state;
  attention::Context context{.graph = graph,
                             .scope = "attention",
                             .nominal_length = nominal,
                             .causal = request.causal,
                             .seed = request.seed,
                             .parameters = parameters,
                             .state = state};
  AttentionGraph built;
  std::vector<Var>& arguments = built.arguments;
  for (size_t i = 0; i < request.arguments.size(); ++i)
    arguments.push_back(graph.input(fmt::format("argument{}", i), {graph.dtype(), shape}));
  const Var mask = graph.input("mask", {graph.dtype(), {n}});
  if (!request.positions.empty()) context.positions = graph.input("positions", {Dtype::i32, {n}});
  built.output = heads ? dynamic_cast<const attention::Attention&>(mechanism).attend(
                             context, arguments[0], arguments[arguments.size() - 2], arguments.back(), mask)
                       : dynamic_cast<const attention::Mixer&>(mechanism).mix(context, arguments[0], mask);
  return built;
}

AttendResult attend(const AttendRequest& request) {
  const attention::Mechanism& mechanism = attention::find(request.attention);
  [[maybe_unused]] const engine::Workers one(1);  // this thread runs oneDNN alone and flushes denormals, as in training
  engine::Parameters own;
  engine::Graph graph(request.dtype, request.kernels, own);
  const AttentionGraph built = build_attention(graph, request);
  graph.mark_output("output", built.output);
  if (!request.output_gradient.empty()) {
    const Var seed = graph.input("output_gradient", {request.dtype, built.output.shape()});
    const std::vector<Var> gradients = attention::while_planning(
        mechanism, [&] { return engine::add_gradients(built.output, seed, built.arguments); });
    for (size_t i = 0; i < gradients.size(); ++i) graph.mark_output(fmt::format("gradient{}", i), gradients[i]);
  }
  for (const auto& [name, value] : request.parameter_values)
    if (std::none_of(own.list().begin(), own.list().end(),
                     [&, &name = name, &value = value](const engine::Parameter& p) {
                       return p.name == name && p.shape == value.shape;
                     }))
      throw UsageError(
          fmt::format("[attend] {} has no parameter {} of shape {}", request.attention, name, value.shape.to_string()),
          "--parameters-out writes a file with the names and shapes it expects");
  const engine::Plan plan = attention::while_planning(mechanism, [&] { return engine::Plan(graph); });
  return attention::while_running(mechanism, [&] {
    return request.dtype == Dtype::f64 ? execute<double>(request, plan, own) : execute<float>(request, plan, own);
  });
}

}  // namespace lra::harness
