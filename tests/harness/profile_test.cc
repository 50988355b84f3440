// The profile of a plan: its parts add up, its bytes and FLOPs are the plan's, and its trace is what viewers read.
#include "harness/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "harness/trace.h"
#include "tests/harness/tiny_model.h"

namespace lra::harness {
namespace {

using engine::Base;
using engine::Layout;
using engine::Place;
using engine::Shape;

constexpr int64_t kTokens = 600;  // more than two blocks of rows
constexpr int kWorkers = 2;

/// One profile for all tests.
struct Profiled {
  Profiled()
      : model(testing::tiny_config("cosformer", kTokens), testing::kTask, engine::Dtype::f32, engine::Kernels::fused),
        plan(model.plan(model.rows_for(kTokens), Mode::train)) {
    const RandomExamples examples(1, kTokens, testing::kTask, 0);
    std::vector<float> weights(static_cast<size_t>(model.parameters().flat_elements()));
    model.parameters().initialize<float>(0, weights);
    engine::Workers workers(kWorkers);
    profile = profile_plan(model, Mode::train, weights, examples, workers, {.min_time_s = 0, .min_runs = 5});
  }
  std::vector<reports::ProfileRow> rows(ProfileBy by) const {
    const double ns_per_token = profile.run_ns / kTokens;
    return profile_rows(plan, profile,
                        {.by = by,
                         .tokens = kTokens,
                         .yardstick = {.gflops = 100, .gb_per_s = 10},
                         .costs = {.step_ns = 2 * ns_per_token,
                                   .data_ns = 0.1 * ns_per_token,
                                   .passes_ns = 1.3 * ns_per_token,
                                   .optimizer_ns = 0.2 * ns_per_token,
                                   .optimizer_bytes = 1000}});
  }

  Model model;
  const engine::Plan& plan;
  PlanProfile profile;
};

const Profiled& profiled() {
  static const Profiled the_profile;
  return the_profile;
}

TEST(ProfilePlanTest, CallsEveryStepOnceOrOnceABlock) {
  const auto& [model, plan, profile] = profiled();
  ASSERT_EQ(profile.calls.size(), plan.steps());
  bool blocks = false;
  for (size_t i = 0; i < plan.steps(); ++i) {
    const int64_t rows = plan.step(i).rows;
    EXPECT_EQ(profile.calls[i], rows > 0 ? (rows + engine::kPipelineRows - 1) / engine::kPipelineRows : 1) << i;
    blocks = blocks || profile.calls[i] > 1;
  }
  EXPECT_TRUE(blocks);
  EXPECT_EQ(profile.runs, 5);
}

TEST(ProfilePlanTest, PartsAddUpToNoMoreThanTheWhole) {
  const PlanProfile& profile = profiled().profile;
  for (const double ns : profile.step_ns) EXPECT_GT(ns, 0);
  EXPECT_GT(profile.between_ns, 0);
  EXPECT_LE(profile.kernels_ns() + profile.between_ns, profile.run_ns * (1 + 1e-9));
  EXPECT_GT(profile.kernels_ns(), 0.1 * profile.run_ns);
}

TEST(ProfilePlanTest, KeepsTheCallsOfEachWorkersLastRunInOrder) {
  const auto& [model, plan, profile] = profiled();
  ASSERT_EQ(profile.last_runs.size(), static_cast<size_t>(kWorkers));
  const int64_t calls = std::accumulate(profile.calls.begin(), profile.calls.end(), int64_t{0});
  for (const std::vector<KernelCall>& run : profile.last_runs) {
    ASSERT_EQ(static_cast<int64_t>(run.size()), calls);
    for (size_t i = 0; i < run.size(); ++i) {
      EXPECT_LE(run[i].start, run[i].stop);
      if (i == 0) continue;
      EXPECT_LE(run[i - 1].stop, run[i].start);
    }
  }
}

class ProfileRowsTest : public ::testing::TestWithParam<ProfileBy> {};

TEST_P(ProfileRowsTest, AddUpToTheStepAndHoldThePlansFlopsAndCalls) {
  const auto& [model, plan, profile] = profiled();
  const std::vector<reports::ProfileRow> rows = profiled().rows(GetParam());
  double ns = 0, kernels_ns = 0, flops = 0, share = 0;
  int64_t calls = 0, bytes = 0, cached_bytes = 0;
  for (const reports::ProfileRow& row : rows) {
    ns += row.ns_per_token;
    share += row.time_share;
    if (row.phase != "forward" && row.phase != "backward") continue;
    kernels_ns += row.ns_per_token * kTokens;
    flops += row.gflops.value_or(0) * row.ns_per_token * kTokens;
    calls += row.calls;
    bytes += row.bytes;
    cached_bytes += row.cached_bytes;
    const auto row_bytes = static_cast<double>(row.bytes);
    EXPECT_NEAR(*row.gb_per_s * row.ns_per_token * kTokens, row_bytes, 1e-6 * (1 + row_bytes));
    EXPECT_GE(*row.roofline_share, *row.gb_per_s / 10 * (1 - 1e-9));
    EXPECT_GE(*row.roofline_share, row.gflops.value_or(0) / 100 * (1 - 1e-9));
  }
  EXPECT_NEAR(ns, 2 * profile.run_ns / kTokens, 1e-6 * ns);
  EXPECT_NEAR(share, 1, 1e-9);
  EXPECT_NEAR(kernels_ns, profile.kernels_ns(), 1e-6 * kernels_ns);
  EXPECT_NEAR(flops, static_cast<double>(plan.product_flops()), 1e-6 * flops);
  EXPECT_EQ(calls, std::accumulate(profile.calls.begin(), profile.calls.end(), int64_t{0}));
  Traffic traffic;
  for (size_t i = 0; i < plan.steps(); ++i) {
    traffic.memory_bytes += traffic_of(plan.step(i)).memory_bytes;
    traffic.cached_bytes += traffic_of(plan.step(i)).cached_bytes;
  }
  EXPECT_EQ(bytes, traffic.memory_bytes);
  EXPECT_EQ(cached_bytes, traffic.cached_bytes);
  EXPECT_GT(cached_bytes, 0);
}

TEST_P(ProfileRowsTest, AreSortedByTimeWithWhatLiesOutsideAtTheEnd) {
  const std::vector<reports::ProfileRow> rows = profiled().rows(GetParam());
  ASSERT_GT(rows.size(), 6U);
  const size_t inside = rows.size() - 4;
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].phase == "outside", i >= inside) << i;
  for (size_t i = 1; i < inside; ++i) EXPECT_GE(rows[i - 1].ns_per_token, rows[i].ns_per_token);
  const double run_ns = profiled().profile.run_ns / kTokens;
  EXPECT_EQ(rows[inside].operation, "between kernels");
  EXPECT_NEAR(rows[inside].ns_per_token, profiled().profile.between_ns / kTokens, 1e-9 * run_ns);
  const double passes_in_profile = (profiled().profile.kernels_ns() + profiled().profile.between_ns) / kTokens;
  EXPECT_NEAR(rows[inside + 1].ns_per_token, 1.3 * run_ns - passes_in_profile, 1e-9 * run_ns);
  EXPECT_NEAR(rows[inside + 2].ns_per_token, 0.1 * run_ns, 1e-9 * run_ns);
  EXPECT_NEAR(rows[inside + 3].ns_per_token, (2 - 1.3 - 0.1 - 0.2) * run_ns, 1e-9 * run_ns);  // optimizer 0.2
}

INSTANTIATE_TEST_SUITE_P(Kinds, ProfileRowsTest,
                         ::testing::Values(ProfileBy::kOperation, ProfileBy::kScope, ProfileBy::kNode),
                         [](const auto& test) { return names_of(test.param).at(static_cast<size_t>(test.param)); });

TEST(ProfileRowsTest, KindsDifferInWhatTheyKeepApart) {
  const size_t nodes = profiled().rows(ProfileBy::kNode).size(),
               operations = profiled().rows(ProfileBy::kOperation).size(),
               scopes = profiled().rows(ProfileBy::kScope).size();
  EXPECT_EQ(nodes, profiled().plan.steps() + 5);  // optimizer, and four outside
  EXPECT_LT(scopes, operations);
  EXPECT_LT(operations, nodes);
}

TEST(FoldedScopeTest, LeavesTheLayerNumberOpen) {
  EXPECT_EQ(folded_scope("encoder.layers.0.ffn"), "layers.*.ffn");
  EXPECT_EQ(folded_scope("encoder.layers.12.attention.part2"), "layers.*.attention.part2");
  EXPECT_EQ(folded_scope("encoder"), "encoder");
  EXPECT_EQ(folded_scope("embedding"), "embedding");
  EXPECT_EQ(folded_scope(""), "");
}

Place place(int32_t index, const Shape& shape) {
  return {.base = Base::arena, .index = index, .layout = Layout::contiguous(shape)};
}

TEST(TrafficTest, CountsEachWindowOnceAndRepeatedRowsOnce) {
  engine::Step step;
  step.inputs = {place(0, {10, 4}), place(0, {10, 4}), place(1, {10, 4})};
  step.inputs[2].layout.strides[0] = 0;  // one row, repeated
  step.outputs = {place(2, {10, 4})};
  EXPECT_EQ(traffic_of(step).memory_bytes, 4 * (40 + 4 + 40));
  EXPECT_EQ(traffic_of(step).cached_bytes, 0);
}

TEST(TrafficTest, KeepsBlockLocalBuffersApartAndKnowsTypes) {
  engine::Step step;
  step.inputs = {place(0, {512, 4}), place(1, {7})};
  step.inputs[0].block_local = true;
  step.inputs[1].dtype = engine::Dtype::f64;
  step.outputs = {place(1, {7})};
  step.outputs[0].dtype = engine::Dtype::f64;
  step.outputs[0].byte_offset = 64;
  EXPECT_EQ(traffic_of(step).memory_bytes, 8 * 14);
  EXPECT_EQ(traffic_of(step).cached_bytes, 4 * 2048);
}

TEST(OptimizerBytesTest, CountsEachLaneAndEightPassesMore) {
  const Model& model = profiled().model;
  EXPECT_EQ(optimizer_bytes(model), model.parameters().flat_elements() * 4 * (4 + 8));
}

TEST(TraceTest, NestsTheCallsOfEachWorkerInTheirPass) {
  const auto& [model, plan, profile] = profiled();
  Trace trace;
  trace.add("first", plan, profile);
  trace.add("second", plan, profile);
  const nlohmann::json json = nlohmann::json::parse(trace.json().dump());
  struct Track {
    double open_until = 0, last_stop = 0;
    size_t calls = 0, passes = 0;
  };
  std::map<std::pair<int, int>, Track> tracks;
  size_t names = 0;
  for (const nlohmann::json& event : json.at("traceEvents")) {
    if (event.at("ph") == "M") {
      EXPECT_TRUE(event.at("args").at("name").is_string());
      ++names;
      continue;
    }
    ASSERT_EQ(event.at("ph"), "X");
    const double start = event.at("ts"), stop = start + event.at("dur").get<double>();
    EXPECT_LE(start, stop);
    Track& track = tracks[{event.at("pid"), event.at("tid")}];
    if (event.at("cat") == "pass") {
      EXPECT_GE(start, track.open_until);
      track.open_until = stop;
      track.last_stop = start;
      ++track.passes;
    } else {
      constexpr double kRounding_us = 1e-3;
      EXPECT_GE(start, track.last_stop - kRounding_us);
      EXPECT_LE(stop, track.open_until + kRounding_us);
      EXPECT_TRUE(event.at("args").contains("scope"));
      track.last_stop = stop;
      ++track.calls;
    }
  }
  EXPECT_EQ(names, 2U * (1 + kWorkers));
  ASSERT_EQ(tracks.size(), 2U * kWorkers);
  for (const auto& [key, track] : tracks) {
    EXPECT_EQ(track.passes, 2U);
    EXPECT_EQ(track.calls, profile.last_runs[0].size());
  }
}

}  // namespace
}  // namespace lra::harness
