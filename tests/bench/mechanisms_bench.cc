// Every registered attention, alone, on one sequence.
#include <fmt/format.h>

#include <map>

#include "attention/attention.h"
#include "attention/registry.h"
#include "tests/bench/bench_plan.h"
#include "tests/bench/benchmarks.h"

namespace lra::bench {
namespace {

using engine::Var;

void add_mechanism(const std::string& name, Pass pass, int64_t heads, int64_t n, int64_t d_head) {
  const auto* mechanism = dynamic_cast<const attention::Attention*>(&attention::find(name));
  if (mechanism == nullptr) return;  // a mixer has other inputs
  register_benchmark(
      fmt::format("attention/{}/{}/b:1/h:{}/n:{}/d:{}/threads:1", name, name_of(pass), heads, n, d_head),
      [=](benchmark::State& state) {
        const auto parameters = attention::resolve_parameters(mechanism->facts(), {});
        std::map<std::string, Var> carried;
        const engine::Shape shape = {heads, n, d_head};
        BenchPlan plan({shape, shape, shape}, pass, [&](engine::Graph& graph, std::span<const Var> in) {
          const attention::Context context{
              .graph = graph, .scope = "attention", .nominal_length = n, .parameters = parameters, .state = carried};
          const Var mask = graph.constant("mask", {n}, std::vector<double>(static_cast<size_t>(n), 1.0));
          return mechanism->attend(context, in[0], in[1], in[2], mask);
        });
        for (auto _ : state) plan.run();
        set_plan_counters(state, plan.plan(), n);
      });
}

}  // namespace

void register_mechanisms() {
  for (const std::string& name : attention::names())
    for (const Pass pass : {Pass::forward, Pass::forward_backward})
      for (const int64_t n : {1024, 4096}) add_mechanism(name, pass, 2, n, 32);
}

}  // namespace lra::bench
