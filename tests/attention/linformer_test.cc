// Linformer: its definition for every way of sharing projections, its limit.
#include <gtest/gtest.h>

#include "attention/registry.h"
#include "harness/model/model.h"
#include "tests/attention/dense_attention.h"
#include "tests/harness/tiny_model.h"

namespace lra::attention::testing {
namespace {

using harness::AttendRequest;
using harness::AttendResult;
using harness::HostArray;

/// The projection with this name that a head uses.
Matrix projection(const AttendResult& result, const std::string& name, int64_t head) {
  for (const auto& [key, value] : result.parameters)
    if (key.ends_with("." + name)) return head_of(value, value.shape.rank() == 3 ? head : 0);
  ADD_FAILURE() << "no parameter " << name;
  return {};
}

TEST(LinformerTest, EqualsTheDefinitionForEveryKindOfSharing) {
  for (const std::string sharing : {"none", "head_wise", "key_value", "layer_wise", "layer_wise_per_head"}) {
    SCOPED_TRACE(sharing);
    AttendRequest request = dense_request("linformer", 30, 23, {{"rank", int64_t{6}}, {"sharing", sharing}});
    request.nominal_length = 40;
    const AttendResult result = harness::attend(request);
    const bool split = sharing == "none" || sharing == "head_wise";
    for (int64_t head = 0; head < 2; ++head) {
      const Matrix e = projection(result, split ? "key_projection" : "projection", head);
      const Matrix f = projection(result, split ? "value_projection" : "projection", head);
      EXPECT_EQ(e.rows(), 40);
      const Matrix q = head_of(request.arguments[0], head).topRows(23),
                   k = head_of(request.arguments[1], head).topRows(23);
      const Matrix v = head_of(request.arguments[2], head).topRows(23);
      const double scale = 1 / std::sqrt(static_cast<double>(q.cols()));
      const Matrix keys = e.topRows(23).transpose() * k, values = f.topRows(23).transpose() * v;
      expect_head(result, head, softmax_rows(scale * q * keys.transpose()) * values, 23, 1e-12);
    }
  }
}

TEST(LinformerTest, TheIdentityOfFullRankIsSoftmax) {
  AttendRequest request = dense_request("linformer", 20, 20, {{"rank", int64_t{20}}});
  HostArray identity{.shape = {20, 20}, .values = std::vector<double>(400, 0.0)};
  for (size_t i = 0; i < 20; ++i) identity.values[i * 21] = 1;
  request.parameter_values = {{"attention.projection", identity}};
  const AttendResult got = harness::attend(request);
  request.attention = "softmax";
  request.parameters = {};
  request.parameter_values = {};
  const AttendResult expected = harness::attend(request);
  for (int64_t head = 0; head < 2; ++head) expect_head(got, head, head_of(expected.output, head), 20, 1e-12);
  for (size_t i = 0; i < 3; ++i)
    for (size_t j = 0; j < expected.gradients[i].values.size(); ++j)
      ASSERT_NEAR(got.gradients[i].values[j], expected.gradients[i].values[j], 1e-12);
}

/// Learned numbers of a two-layer model with heads of its own, against one that shares more.
TEST(LinformerTest, SharingSavesTheParametersItSays) {
  const auto projections = [](const std::string& sharing) {
    harness::TrainConfig config = harness::testing::tiny_config("linformer", 64);
    config.attention.parameters["rank"] = 16;
    config.attention.parameters["sharing"] = sharing;
    const harness::Model model(config, harness::testing::kTask, engine::Dtype::f32, engine::Kernels::fused);
    int64_t elements = 0;
    for (const engine::Parameter& parameter : model.parameters().list())
      if (parameter.name.find("projection") != std::string::npos) elements += parameter.shape.elements();
    return elements / (64 * 16);
  };
  EXPECT_EQ(projections("none"), 2 * 2 * 2);  // layers, heads, keys and values
  EXPECT_EQ(projections("head_wise"), 2 * 2);
  EXPECT_EQ(projections("key_value"), 2);
  EXPECT_EQ(projections("layer_wise"), 1);
  EXPECT_EQ(projections("layer_wise_per_head"), 2);
}

}  // namespace
}  // namespace lra::attention::testing
