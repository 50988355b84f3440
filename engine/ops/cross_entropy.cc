#include "engine/ops/cross_entropy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/errors.h"
#include "engine/op.h"

namespace lra::engine {
namespace {

/// Inputs logits, label; outputs loss, probabilities.
template <class T>
class ForwardKernel final : public Kernel {
  void run(const KernelArguments& arguments) const override {
    const T* logits = arguments.inputs[0].as<const T>();
    const int32_t label = *arguments.inputs[1].as<const int32_t>();
    T* loss = arguments.outputs[0].as<T>();
    T* probabilities = arguments.outputs[1].as<T>();
    const int64_t classes = arguments.inputs[0].shape()[0];
    const T largest = *std::max_element(logits, logits + classes);
    T sum = 0;
    for (int64_t j = 0; j < classes; ++j) {
      probabilities[j] = std::exp(logits[j] - largest);
      sum += probabilities[j];
    }
    for (int64_t j = 0; j < classes; ++j) probabilities[j] /= sum;
    const bool known = label >= 0 && label < classes;
    *loss = known ? std::log(sum) + largest - logits[label] : std::numeric_limits<T>::quiet_NaN();
  }
};

/// Inputs probabilities, label, dloss; output dlogits = dloss (probabilities - onehot(label)).
template <class T>
class BackwardKernel final : public Kernel {
  void run(const KernelArguments& arguments) const override {
    const T* probabilities = arguments.inputs[0].as<const T>();
    const int32_t label = *arguments.inputs[1].as<const int32_t>();
    const T dloss = *arguments.inputs[2].as<const T>();
    T* dlogits = arguments.outputs[0].as<T>();
    for (int64_t j = 0; j < arguments.outputs[0].shape()[0]; ++j)
      dlogits[j] = dloss * (probabilities[j] - (j == label ? T{1} : T{0}));
  }
};

class CrossEntropyBackwardOp final : public Op {
 public:
  std::string_view name() const override { return "cross_entropy_backward"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {inputs[0]}; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<BackwardKernel<double>>();
    return std::make_unique<BackwardKernel<float>>();
  }
  std::vector<Var> vjp(const VjpArguments&) const override {
    LRA_CHECK(false, "cross_entropy_backward has no gradient of its own");
    return {};
  }
};

class CrossEntropyOp final : public Op {
 public:
  std::string_view name() const override { return "cross_entropy"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    return {{inputs[0].dtype, Shape()}, inputs[0]};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<ForwardKernel<double>>();
    return std::make_unique<ForwardKernel<float>>();
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var dloss = arguments.output_gradients[0];
    LRA_CHECK(!arguments.output_gradients[1].valid(), "the probabilities of cross_entropy are not differentiable");
    return {dloss.graph().apply1(std::make_shared<const CrossEntropyBackwardOp>(),
                                 {arguments.outputs[1], arguments.inputs[1], dloss}),
            Var()};
  }
};

}  // namespace

CrossEntropy cross_entropy(Var logits, Var label) {
  LRA_CHECK(logits.dtype() != Dtype::i32 && logits.shape().rank() == 1 && logits.shape()[0] > 0,
            fmt::format("[cross_entropy] the logits are {}, not [classes]", logits.shape().to_string()));
  LRA_CHECK(label.type() == (Type{Dtype::i32, {1}}), "[cross_entropy] the label is not i32 [1]");
  const std::array<Var, 2> inputs = {logits, label};
  const std::vector<Var> outputs = logits.graph().apply(std::make_shared<const CrossEntropyOp>(), inputs);
  return {.loss = outputs[0], .probabilities = outputs[1]};
}

}  // namespace lra::engine
