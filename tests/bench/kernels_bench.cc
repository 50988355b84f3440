// Vector functions and row-wise operations, alone and hot in cache.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "engine/kernels/dropout_mask.h"
#include "engine/kernels/vmath.h"
#include "engine/ops/activations.h"
#include "engine/ops/dropout.h"
#include "engine/ops/layer_norm.h"
#include "engine/ops/matmul.h"
#include "tests/bench/bench_plan.h"
#include "tests/bench/benchmarks.h"

namespace lra::bench {
namespace {

using engine::Var;

void add_function(const std::string& name, void (*function)(const float*, float*, int64_t)) {
  constexpr int64_t kCount = 16384;
  register_benchmark(fmt::format("kernel/{}/n:{}", name, kCount), [function](benchmark::State& state) {
    engine::AlignedVector<float> x(kCount), y(kCount);
    for (int64_t i = 0; i < kCount; ++i) x[static_cast<size_t>(i)] = static_cast<float>(i % 997) / 100 - 5;
    for (auto _ : state) {
      function(x.data(), y.data(), kCount);
      benchmark::ClobberMemory();
    }
    state.counters["elements_per_s"] = rate(state, kCount);
  });
}

void add_dropout(int64_t rows, int64_t columns) {
  register_benchmark(fmt::format("kernel/dropout/n:{}/d:{}", rows, columns), [=](benchmark::State& state) {
    engine::AlignedVector<float> x(static_cast<size_t>(rows * columns), 1.0F), y(x.size());
    const engine::DropoutWindow window{.key = 7,
                                       .keys = {.seed = 1, .step = 2, .example = 3},
                                       .threshold = engine::dropout_threshold(0.1),
                                       .scale = 1.1F,
                                       .rows = rows,
                                       .columns = columns};
    for (auto _ : state) {
      engine::apply_dropout(window, x.data(), columns, y.data(), columns);
      benchmark::ClobberMemory();
    }
    state.counters["elements_per_s"] = rate(state, rows * columns);
  });
}

/// An operation on x: [n, d] and vectors or matrices, forward and backward.
void add_operation(const std::string& name, int64_t n, int64_t d, std::vector<engine::Shape> shapes,
                   const BenchPlan::Builder& build) {
  for (const Pass pass : {Pass::forward, Pass::forward_backward})
    register_benchmark(fmt::format("operation/{}/{}/n:{}/d:{}", name, name_of(pass), n, d),
                       [=](benchmark::State& state) {
                         BenchPlan plan(shapes, pass, build);
                         for (auto _ : state) plan.run();
                         set_plan_counters(state, plan.plan(), n);
                       });
}

}  // namespace

void register_kernels() {
  add_function("exp", &engine::exp_f32);
  add_function("tanh", &engine::tanh_f32);
  add_function("erf", &engine::erf_f32);
  add_dropout(256, 128);
  for (const int64_t n : {1024, 16384}) {
    constexpr int64_t d = 64;
    add_operation("layer_norm", n, d, {{n, d}, {d}, {d}}, [](engine::Graph&, std::span<const Var> in) {
      return engine::layer_norm(in[0], in[1], in[2], 1e-5);
    });
    add_operation("gelu", n, d, {{n, d}},
                  [](engine::Graph&, std::span<const Var> in) { return engine::gelu(in[0], engine::Gelu::erf); });
    add_operation("linear", n, d, {{n, d}, {d, d}, {d}},
                  [](engine::Graph&, std::span<const Var> in) { return engine::linear(in[0], in[1], in[2]); });
  }
}

}  // namespace lra::bench
