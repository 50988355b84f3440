// A mechanism without a fault, from which the plug-ins of this folder depart.
#pragma once

#include <string>
#include <utility>

#include "attention/registry.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/shape.h"

namespace lra::testing {

using attention::Context;
using attention::Facts;
using engine::Var;

/// o = (q k^T) v over real tokens.
class SoundAttention : public attention::Attention {
 public:
  explicit SoundAttention(std::string name) : name_(std::move(name)) {}
  Facts facts() const override {
    return {.name = name_,
            .full_name = "Products without a softmax",
            .citation = "none",
            .time_complexity = "O(n^2 d_head)",
            .memory_complexity = "O(n^2)",
            .growth_exponent_time = 2,
            .growth_exponent_memory = 2,
            .forward_flops = [](const attention::ProblemSize& size, const attention::ParameterValues&) {
              return 4 * size.heads * size.n * size.n * size.d_head;
            }};
  }
  Var attend(const Context&, Var q, Var k, Var v, Var mask) const override {
    const Var real_k = engine::multiply(k, engine::reshape(mask, {mask.shape()[0], 1}));
    return engine::matmul(engine::matmul(q, real_k, false, true), v);
  }

 private:
  std::string name_;
};

}  // namespace lra::testing
