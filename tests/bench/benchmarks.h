// What the benchmarks share. Their names are frozen: results of one year are compared with those of the next.
#pragma once

#include <benchmark/benchmark.h>

#include <string>
#include <utility>

#include "engine/plan.h"

namespace lra::bench {

void register_kernels();
void register_mechanisms();
void register_steps();

/// Real time: processor time says nothing about threads.
template <class Body>
void register_benchmark(const std::string& name, Body&& body) {
  benchmark::RegisterBenchmark(name.c_str(), std::forward<Body>(body))->UseRealTime();
}

/// `per_iteration` of something in each second of real time.
inline benchmark::Counter rate(const benchmark::State& state, int64_t per_iteration) {
  return {static_cast<double>(state.iterations()) * static_cast<double>(per_iteration), benchmark::Counter::kIsRate};
}

/// tokens_per_s, flops_per_s (2mnk over the products that ran) and peak_bytes of a plan over n tokens.
inline void set_plan_counters(benchmark::State& state, const engine::Plan& plan, int64_t tokens) {
  state.counters["tokens_per_s"] = rate(state, tokens);
  state.counters["flops_per_s"] = rate(state, plan.product_flops());
  state.counters["peak_bytes"] = static_cast<double>(plan.arena_bytes());
}

}  // namespace lra::bench
