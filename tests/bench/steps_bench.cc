// Whole steps of a preset: forward, backward, clipping and optimiser, or inference. And main().
#include <fmt/format.h>

#include <memory>
#include <numeric>

#include "attention/registry.h"
#include "engine/errors.h"
#include "harness/environment.h"
#include "harness/examples.h"
#include "harness/learner.h"
#include "harness/presets.h"
#include "tasks/registry.h"
#include "tests/bench/benchmarks.h"

namespace lra::bench {
namespace {

struct StepCase {
  std::string attention, preset;
  harness::Mode mode;
  int64_t batch, n;
  int threads;
};

void run_steps(benchmark::State& state, const StepCase& c) {
  const tasks::TaskFacts facts = tasks::task_named("listops").facts();
  const harness::ResolvedConfig resolved =
      harness::resolve_config({.task = "listops",
                               .attention = c.attention,
                               .preset = c.preset,
                               .assignments = {fmt::format("train.batch_size={}", c.batch)},
                               .sequence_length = c.n});
  harness::Model model(resolved.config, harness::shape_of(facts), engine::Dtype::f32, engine::Kernels::fused);
  const bool train = c.mode == harness::Mode::train;
  const std::vector<int64_t> lengths = {c.n}, none;
  harness::Learner learner(model, {.threads = c.threads, .most_at_once = c.batch}, train ? lengths : none,
                           train ? none : lengths);
  const harness::RandomExamples examples(c.batch, c.n, model.task(), 0);
  std::vector<int64_t> batch(static_cast<size_t>(c.batch));
  std::iota(batch.begin(), batch.end(), int64_t{0});
  int64_t step = 0;
  for (auto _ : state) {
    if (train) {
      learner.train_step(examples, batch, step++);
    } else {
      learner.infer_batch(examples, batch);
    }
  }
  state.counters["tokens_per_s"] = rate(state, c.batch * c.n);
  const harness::ModelFlops flops = model.flops(c.n);
  state.counters["flops_per_s"] = rate(state, c.batch * (train ? flops.training() : flops.forward));
  state.counters["peak_bytes"] = static_cast<double>(learner.arena_bytes());
}

}  // namespace

void register_steps() {
  for (const std::string& attention : attention::names())
    for (const harness::Mode mode : {harness::Mode::train, harness::Mode::infer})
      for (const int64_t n : {1024, 4096})
        for (const int threads : {1, 2}) {
          if (threads > harness::default_threads()) continue;
          const StepCase c{
              .attention = attention, .preset = "small", .mode = mode, .batch = 4, .n = n, .threads = threads};
          register_benchmark(
              fmt::format("step/{}/{}/preset:{}/b:{}/n:{}/threads:{}", attention,
                          mode == harness::Mode::train ? "train" : "infer", c.preset, c.batch, c.n, c.threads),
              [c](benchmark::State& state) { run_steps(state, c); });
        }
}

}  // namespace lra::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return lra::kExitUsage;
  lra::bench::register_kernels();
  lra::bench::register_mechanisms();
  lra::bench::register_steps();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
