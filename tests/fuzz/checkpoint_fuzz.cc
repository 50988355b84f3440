// Checkpoints of a model of a few weights, resumed from and read for their weights alone.
#include "harness/checkpoint.h"

#include <cmath>

#include "harness/trained_run.h"
#include "tests/fuzz/fuzzing.h"
#include "tests/harness/tiny_model.h"

using namespace lra;

namespace {

constexpr int64_t kLengths[] = {4};

/// The smallest model there is: one layer of width 2.
harness::TrainConfig smallest_config() {
  harness::TrainConfig config = harness::testing::tiny_config("linear", 4);
  config.model.layers = 1;
  config.model.d_model = 2;
  config.model.heads = 1;
  config.model.d_head = 2;
  config.model.d_ffn = 2;
  config.model.d_classifier = 2;
  return config;
}

struct Resumed {
  harness::TrainConfig config = smallest_config();
  harness::Model model{config, harness::testing::kTask, engine::Dtype::f32, engine::Kernels::fused};
  harness::Learner learner{model, {.threads = 1}, kLengths, kLengths};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzzing::InputFile file;
  static Resumed resumed;
  static const std::string hash = "0123456789ab";
  file.write({data, size});
  fuzzing::accepts_or_refuses([&] {
    const harness::RunState state = harness::load_checkpoint(file.path(), hash, resumed.learner);
    fuzzing::require(state.step >= 0 && state.best.step >= 0, "impossible steps");
    fuzzing::require(state.all.examples >= 0 && state.all.tokens >= 0, "impossible counts");
  });
  const engine::Parameters& parameters = resumed.model.parameters();
  fuzzing::accepts_or_refuses([&] { harness::load_weights(file.path(), hash, parameters, resumed.learner.weights()); });
  fuzzing::accepts_or_refuses([&] { harness::read_weights(file.path(), parameters); });
  return 0;
}
