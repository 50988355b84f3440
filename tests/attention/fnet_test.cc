// FNet: what pads are, and what its transform of a constant is.
#include <gtest/gtest.h>

#include "attention/registry.h"
#include "harness/attend.h"
#include "harness/contract.h"

namespace lra::attention {
namespace {

harness::AttendRequest fnet_request(bool mask_pads) {
  harness::AttendRequest request = harness::random_request("fnet", 12, 9, 3);
  request.dtype = engine::Dtype::f64;
  request.kernels = engine::Kernels::plain;
  request.parameters = {{"mask_pads", mask_pads}};
  return request;
}

TEST(FNetTest, PadsAreZerosUnlessTheyAreToBeMixedIn) {
  for (const bool mask_pads : {true, false}) {
    harness::AttendRequest request = fnet_request(mask_pads);
    const std::vector<double> before = harness::attend(request).output.values;
    const int64_t d = request.arguments[0].shape[1];
    request.arguments[0].values[static_cast<size_t>(10 * d)] += 1;
    EXPECT_EQ(harness::attend(request).output.values == before, mask_pads);
  }
}

TEST(FNetTest, ConstantsGatherInTheFirstElement) {
  harness::AttendRequest request = fnet_request(false);
  request.arguments[0].values.assign(request.arguments[0].values.size(), 0.5);
  const std::vector<double> y = harness::attend(request).output.values;
  EXPECT_NEAR(y[0], 0.5 * static_cast<double>(y.size()), 1e-10);
  for (size_t i = 1; i < y.size(); ++i) EXPECT_NEAR(y[i], 0, 1e-10) << i;
}

}  // namespace
}  // namespace lra::attention
