// Hand-made arguments for the fused attention kernels: strided windows, poisoned memory, and what to compare with.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/autodiff.h"
#include "engine/graph.h"
#include "engine/op.h"
#include "engine/parameters.h"
#include "tests/engine/guarded_scratch.h"

namespace lra::engine::testing {

enum class MaskKind { none, tail, random, all };

struct AttentionCase {
  int64_t heads = 2;
  int64_t n = 63;
  int64_t d_head = 16;
  bool causal = false;
  MaskKind mask = MaskKind::none;
  bool strided = false;  // q, k, v and their gradients inside rows of [q | k | v], o inside rows of heads

  std::string repro() const {
    return fmt::format("h{}_n{}_d{} causal {} mask {} strided {}", heads, n, d_head, causal, static_cast<int>(mask),
                       strided);
  }
};

inline void PrintTo(const AttentionCase& c, std::ostream* out) { *out << c.repro(); }

inline std::vector<float> make_mask(const AttentionCase& c) {
  std::vector<float> mask(static_cast<size_t>(c.n), 1.0F);
  std::mt19937 random(7);
  for (size_t i = 0; i < mask.size(); ++i) {
    if (c.mask == MaskKind::tail) mask[i] = i < (mask.size() * 2 + 2) / 3 ? 1.0F : 0.0F;
    if (c.mask == MaskKind::random) mask[i] = random() % 3 == 0 ? 0.0F : 1.0F;
    if (c.mask == MaskKind::all) mask[i] = 0.0F;
  }
  return mask;
}

/// An array in double, row-major, for the naive twins: [h, n, d].
struct Dense {
  int64_t heads, n, d;
  std::vector<double> values;
  Dense(int64_t heads_, int64_t n_, int64_t d_)
      : heads(heads_), n(n_), d(d_), values(static_cast<size_t>(heads_ * n_ * d_), 0.0) {}
  double& at(int64_t head, int64_t row, int64_t column) {
    return values[static_cast<size_t>((head * n + row) * d + column)];
  }
  double at(int64_t head, int64_t row, int64_t column) const {
    return values[static_cast<size_t>((head * n + row) * d + column)];
  }
};

/// [h, n, d] floats as a window: `slot` of `slots` side by side in the rows of one buffer, or contiguous.
class Window {
 public:
  Window(const AttentionCase& c, int64_t slot, int64_t slots) : heads_(c.heads), n_(c.n), d_(c.d_head) {
    const int64_t row = c.strided ? slots * heads_ * d_ : d_;
    buffer_.assign(static_cast<size_t>(c.strided ? n_ * row : heads_ * n_ * d_), kNaN);
    view_.layout.shape = Shape{heads_, n_, d_};
    view_.layout.strides = {c.strided ? d_ : n_ * d_, row, 1, 0};
    first_ = c.strided ? slot * heads_ * d_ : 0;
  }
  void fill(uint32_t seed, double scale = 1.0) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal(0.0, scale);
    for (int64_t head = 0; head < heads_; ++head) {
      for (int64_t row = 0; row < n_; ++row) {
        for (int64_t j = 0; j < d_; ++j) at(head, row, j) = static_cast<float>(normal(random));
      }
    }
  }
  float& at(int64_t head, int64_t row, int64_t column) {
    return buffer_[static_cast<size_t>(first_ + head * view_.stride(0) + row * view_.stride(1) + column)];
  }
  View view() {
    View view = view_;
    view.data = buffer_.data() + first_;
    return view;
  }
  Dense dense() {
    Dense dense(heads_, n_, d_);
    for (int64_t head = 0; head < heads_; ++head) {
      for (int64_t row = 0; row < n_; ++row) {
        for (int64_t j = 0; j < d_; ++j) dense.at(head, row, j) = double{at(head, row, j)};
      }
    }
    return dense;
  }
  /// Elements that belong to neighbours of the window and must still be poisoned.
  bool surroundings_untouched() {
    std::vector<float> copy = buffer_;
    for (int64_t head = 0; head < heads_; ++head) {
      for (int64_t row = 0; row < n_; ++row) {
        for (int64_t j = 0; j < d_; ++j) {
          copy[static_cast<size_t>(first_ + head * view_.stride(0) + row * view_.stride(1) + j)] = kNaN;
        }
      }
    }
    return std::all_of(copy.begin(), copy.end(), [](float value) { return std::isnan(value); });
  }
  const std::vector<float>& buffer() const { return buffer_; }

 private:
  static constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  int64_t heads_, n_, d_;
  int64_t first_ = 0;
  View view_;
  std::vector<float> buffer_;
};

/// A contiguous poisoned buffer of a type.
class Plain {
 public:
  explicit Plain(const Type& type)
      : buffer_(static_cast<size_t>(type.shape.elements()), std::numeric_limits<float>::quiet_NaN()) {
    view_.layout = Layout::contiguous(type.shape);
  }
  View view() {
    View view = view_;
    view.data = buffer_.data();
    return view;
  }

 private:
  View view_;
  std::vector<float> buffer_;
};

/// Makes the kernel from layouts alone and runs it once on poisoned scratch.
inline void run_op(const Op& op, const std::vector<View>& inputs, const std::vector<View>& outputs,
                   const ExampleKeys& keys) {
  std::vector<View> input_layouts = inputs;
  std::vector<View> output_layouts = outputs;
  for (std::vector<View>* views : {&input_layouts, &output_layouts}) {
    for (View& view : *views) view.data = nullptr;
  }
  const auto accumulate = std::make_unique<bool[]>(outputs.size());
  const auto kernel = op.kernel({.inputs = input_layouts,
                                 .outputs = output_layouts,
                                 .accumulate = std::span<const bool>(accumulate.get(), outputs.size())});
  GuardedScratch scratch(kernel->scratch_bytes()), shared_scratch(kernel->shared_scratch_bytes());
  kernel->run({.inputs = inputs,
               .outputs = outputs,
               .scratch = scratch.data(),
               .keys = keys,
               .shared_scratch = shared_scratch.data()});
  scratch.check(), shared_scratch.check();
}

/// Arguments and results of one attention, forward and backward.
struct AttentionRun {
  Window q, k, v, o, output_gradient, dq, dk, dv;
  std::vector<float> mask;

  explicit AttentionRun(const AttentionCase& c)
      : q(c, 0, 3),
        k(c, 1, 3),
        v(c, 2, 3),
        o(c, 0, 1),
        output_gradient(c, 0, 1),
        dq(c, 0, 3),
        dk(c, 1, 3),
        dv(c, 2, 3),
        mask(make_mask(c)) {
    q.fill(1);
    k.fill(2);
    v.fill(3);
    output_gradient.fill(4);
  }

  /// `attend(q, k, v, mask)` adds the attention's nodes to the graph of its arguments and returns o.
  template <class Attend>
  void execute(const AttentionCase& c, const ExampleKeys& keys, Attend&& attend) {
    Parameters parameters;
    Graph graph(Dtype::f32, Kernels::fused, parameters);
    const Type type{Dtype::f32, Shape{c.heads, c.n, c.d_head}};
    const Var q_var = graph.input("q", type);
    const Var k_var = graph.input("k", type);
    const Var v_var = graph.input("v", type);
    const Var mask_var = graph.input("mask", {Dtype::f32, Shape{c.n}});
    const Var gradient_var = graph.input("do", type);
    const Var o_var = attend(q_var, k_var, v_var, mask_var);
    const std::array<Var, 3> wrt = {q_var, k_var, v_var};
    const std::vector<Var> gradients = add_gradients(o_var, gradient_var, wrt);

    View mask_view{.data = mask.data(), .layout = Layout::contiguous(Shape{c.n})};
    std::map<int32_t, View> views = {
        {q_var.id(), q.view()},         {k_var.id(), k.view()},         {v_var.id(), v.view()},
        {mask_var.id(), mask_view},     {o_var.id(), o.view()},         {gradient_var.id(), output_gradient.view()},
        {gradients[0].id(), dq.view()}, {gradients[1].id(), dk.view()}, {gradients[2].id(), dv.view()}};
    std::deque<Plain> others;
    for (const Node& node : graph.nodes()) {
      for (const int32_t id : node.outputs) {
        if (views.contains(id)) continue;
        views.emplace(id, others.emplace_back(graph.values()[static_cast<size_t>(id)].type).view());
      }
      std::vector<View> inputs, outputs;
      for (const int32_t id : node.inputs) inputs.push_back(views.at(id));
      for (const int32_t id : node.outputs) outputs.push_back(views.at(id));
      run_op(*node.op, inputs, outputs, keys);
    }
    for (Window* window : {&o, &dq, &dk, &dv}) EXPECT_TRUE(window->surroundings_untouched()) << c.repro();
  }
};

/// |got - want| <= tolerance * the largest |want| over all elements, or `terms` of the element where that is larger:
/// the sum of the magnitudes of what an element is the sum of, which bounds what rounding leaves when they cancel.
inline void expect_close(Window& got, const Dense& want, const std::string& what, const Dense* terms = nullptr,
                         double tolerance = 2e-5) {
  double largest = 0.05;  // arguments are of magnitude 1: below it differences have cancelled, and rounding stays
  for (const double value : want.values) largest = std::max(largest, std::abs(value));
  for (int64_t head = 0; head < want.heads; ++head) {
    for (int64_t row = 0; row < want.n; ++row) {
      for (int64_t j = 0; j < want.d; ++j) {
        const double magnitude = terms == nullptr ? largest : std::max(largest, terms->at(head, row, j));
        const double difference = std::abs(double{got.at(head, row, j)} - want.at(head, row, j));
        if (difference <= tolerance * magnitude) continue;
        ADD_FAILURE() << fmt::format("{}[{}, {}, {}] is {} and not {}; magnitude {}", what, head, row, j,
                                     got.at(head, row, j), want.at(head, row, j), magnitude);
        return;
      }
    }
  }
}

}  // namespace lra::engine::testing
