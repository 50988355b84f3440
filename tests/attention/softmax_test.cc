// Softmax attention: its definition, its rows, its dropout, its causal form.
#include <gtest/gtest.h>

#include "attention/registry.h"
#include "engine/autodiff.h"
#include "engine/plan.h"
#include "tests/attention/naive_attention.h"

namespace lra::attention::testing {
namespace {

TEST(SoftmaxAttentionTest, EqualsTheQuadraticDefinitionWithGradients) { expect_definition("softmax", naive_softmax); }

TEST(SoftmaxAttentionTest, CausalEqualsRecomputationOfEveryPrefix) { expect_causal_equals_prefixes("softmax"); }

std::vector<AttendRequest> with_all_kernels(AttendRequest request) {
  std::vector<AttendRequest> all = {request};
  request.dtype = engine::Dtype::f32;
  all.push_back(request);
  request.kernels = engine::Kernels::fused;
  all.push_back(request);
  return all;
}

TEST(SoftmaxAttentionTest, ConstantValuesComeOutAsTheyAre) {
  for (const bool causal : {false, true})
    for (const char* mask : {"none", "holes", "all"})
      for (AttendRequest& request : with_all_kernels(request_of("softmax", 70, mask, causal))) {
        request.arguments[2].values.assign(request.arguments[2].values.size(), -2.5);
        for (const double o : harness::attend(request).output.values) EXPECT_NEAR(o, -2.5, 1e-5);
      }
}

TEST(SoftmaxAttentionTest, ARowOfMaskedKeysIsUniform) {
  for (const bool causal : {false, true})
    for (AttendRequest& request : with_all_kernels(request_of("softmax", 70, "all", causal))) {
      const Sizes size(request);
      const std::vector<double> o = harness::attend(request).output.values;
      for (const int64_t i : {0, 1, 35, 69}) {
        const int64_t visible = causal ? i + 1 : size.n;
        double mean = 0;
        for (int64_t j = 0; j < visible; ++j)
          mean += request.arguments[2].values[size.at(1, j, 3)] / static_cast<double>(visible);
        EXPECT_NEAR(o[size.at(1, i, 3)], mean, 1e-5) << "row " << i;
      }
    }
}

TEST(SoftmaxAttentionTest, HugeLogitsDoNotOverflow) {
  for (AttendRequest& request : with_all_kernels(request_of("softmax", 70, "tail", false))) {
    for (const size_t argument : {0, 1})
      for (double& value : request.arguments[argument].values) value *= 300;
    const AttendResult result = harness::attend(request);
    for (const double o : result.output.values) EXPECT_TRUE(std::isfinite(o));
    for (const harness::HostArray& gradient : result.gradients)
      for (const double element : gradient.values) EXPECT_TRUE(std::isfinite(element));
  }
}

TEST(SoftmaxAttentionTest, PermutingTheTokensPermutesTheOutput) {
  for (AttendRequest& request : with_all_kernels(request_of("softmax", 67, "tail", false))) {
    const Sizes size(request);
    const std::vector<double> expected = harness::attend(request).output.values;
    AttendRequest reversed = request;
    std::reverse(reversed.mask.begin(), reversed.mask.end());
    for (size_t argument = 0; argument < 3; ++argument)
      for (int64_t h = 0; h < size.heads; ++h)
        for (int64_t i = 0; i < size.n; ++i)
          for (int64_t a = 0; a < size.d; ++a)
            reversed.arguments[argument].values[size.at(h, size.n - 1 - i, a)] =
                request.arguments[argument].values[size.at(h, i, a)];
    const std::vector<double> got = harness::attend(reversed).output.values;
    for (int64_t i = 0; i < size.n; ++i)
      EXPECT_NEAR(got[size.at(1, size.n - 1 - i, 2)], expected[size.at(1, i, 2)], 1e-5);
  }
}

/// One attention with dropout of its weights, in a graph of its own; output, then the gradients of q, k and v.
class DropoutRun {
 public:
  DropoutRun(engine::Dtype dtype, engine::Kernels kernels, int64_t n, bool causal, double dropout)
      : graph_(dtype, kernels, parameters_) {
    const Mechanism& mechanism = find("softmax");
    const auto values = resolve_parameters(mechanism.facts(), {});
    std::map<std::string, Var> state;
    const Context context{.graph = graph_,
                          .scope = "encoder.layers.1.attention",
                          .nominal_length = n,
                          .training = true,
                          .causal = causal,
                          .attention_dropout = dropout,
                          .parameters = values,
                          .state = state};
    std::vector<Var> inputs;
    for (const char* name : {"q", "k", "v"}) inputs.push_back(graph_.input(name, {dtype, {2, n, 8}}));
    const Var mask = graph_.input("mask", {dtype, {n}}), seed = graph_.input("do", {dtype, {2, n, 8}});
    std::vector<Var> results = {
        dynamic_cast<const Attention&>(mechanism).attend(context, inputs[0], inputs[1], inputs[2], mask)};
    for (const Var& gradient : engine::add_gradients(results[0], seed, inputs)) results.push_back(gradient);
    for (size_t i = 0; i < results.size(); ++i) graph_.mark_output(std::to_string(i), results[i]);
    plan_ = std::make_unique<engine::Plan>(graph_);
  }

  std::vector<std::vector<double>> run(const AttendRequest& request, const engine::ExampleKeys& keys) {
    return graph_.dtype() == engine::Dtype::f64 ? run_in<double>(request, keys) : run_in<float>(request, keys);
  }

 private:
  template <class T>
  std::vector<std::vector<double>> run_in(const AttendRequest& request, const engine::ExampleKeys& keys) {
    std::vector<std::vector<T>> arrays;
    for (const harness::HostArray& argument : request.arguments)
      arrays.emplace_back(argument.values.begin(), argument.values.end());
    arrays.emplace_back(request.mask.begin(), request.mask.end());
    arrays.emplace_back(request.output_gradient.begin(), request.output_gradient.end());
    std::vector<void*> pointers;
    for (std::vector<T>& array : arrays) pointers.push_back(array.data());
    engine::Arena arena(plan_->arena_bytes());
    arena.poison();
    const engine::Bindings bindings{.arena = arena.data(), .inputs = pointers, .keys = keys};
    plan_->run(bindings);
    std::vector<std::vector<double>> results;
    for (int i = 0; i < 4; ++i) {
      const engine::View view = plan_->output(std::to_string(i), bindings);
      results.emplace_back(view.as<T>(), view.as<T>() + view.shape().elements());
    }
    return results;
  }

  engine::Parameters parameters_;
  engine::Graph graph_;
  std::unique_ptr<engine::Plan> plan_;
};

constexpr engine::ExampleKeys kKeys{.seed = 5, .step = 17, .example = 1234};

TEST(SoftmaxDropoutTest, FusedAndPlainDropTheSameWeights) {
  for (const bool causal : {false, true})
    for (const int64_t n : {1, 7, 64, 130, 300}) {
      AttendRequest request = request_of("softmax", n, "tail", causal);
      const auto run = [&](engine::Dtype dtype, engine::Kernels kernels) {
        return DropoutRun(dtype, kernels, n, causal, 0.3).run(request, kKeys);
      };
      const auto expected = run(engine::Dtype::f64, engine::Kernels::plain);
      for (const auto kernels : {engine::Kernels::plain, engine::Kernels::fused}) {
        const auto got = run(engine::Dtype::f32, kernels);
        for (size_t i = 0; i < 4; ++i)
          EXPECT_LE(distance(got[i], expected[i], 1), 2e-5) << "n " << n << " result " << i << " causal " << causal;
      }
    }
}

TEST(SoftmaxDropoutTest, AnotherStepExampleOrSeedDropsOtherWeights) {
  const AttendRequest request = request_of("softmax", 65, "none", false);
  DropoutRun fused(engine::Dtype::f32, engine::Kernels::fused, 65, false, 0.3);
  const auto expected = fused.run(request, kKeys);
  EXPECT_EQ(fused.run(request, kKeys), expected);
  for (engine::ExampleKeys keys : {engine::ExampleKeys{6, 17, 1234}, {5, 18, 1234}, {5, 17, 1235}})
    EXPECT_NE(fused.run(request, keys)[0], expected[0]);
}

TEST(SoftmaxDropoutTest, TheMeanOverDrawsIsTheAttentionWithoutDropout) {
  const AttendRequest request = request_of("softmax", 33, "none", false);
  DropoutRun fused(engine::Dtype::f32, engine::Kernels::fused, 33, false, 0.2);
  const std::vector<double> expected = harness::attend(request).output.values;
  constexpr uint32_t kDraws = 2000;
  std::vector<double> mean(expected.size());
  for (uint32_t step = 0; step < kDraws; ++step) {
    const std::vector<double> o = fused.run(request, {.seed = 1, .step = step, .example = 3})[0];
    for (size_t i = 0; i < o.size(); ++i) mean[i] += o[i] / kDraws;
  }
  EXPECT_LE(distance(mean, expected, 1), 0.05);
}

TEST(SoftmaxDropoutTest, GradientsWithDropoutEqualFiniteDifferences) {
  AttendRequest request = request_of("softmax", 9, "tail", false);
  DropoutRun plain(engine::Dtype::f64, engine::Kernels::plain, 9, false, 0.4);
  const auto at = plain.run(request, kKeys);
  const auto objective = [&] {
    const std::vector<double> o = plain.run(request, kKeys)[0];
    double sum = 0;
    for (size_t i = 0; i < o.size(); ++i) sum += o[i] * request.output_gradient[i];
    return sum;
  };
  for (size_t argument = 0; argument < 3; ++argument)
    for (size_t i = 0; i < request.arguments[argument].values.size(); i += 5) {
      double& value = request.arguments[argument].values[i];
      const double kept = value;
      value = kept + 1e-5;
      const double above = objective();
      value = kept - 1e-5;
      EXPECT_NEAR((above - objective()) / 2e-5, at[argument + 1][i], 1e-7);
      value = kept;
    }
}

}  // namespace
}  // namespace lra::attention::testing
