#include "harness/bound.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/aligned.h"
#include "engine/kernels/dropout_mask.h"
#include "engine/kernels/tile_products.h"
#include "engine/kernels/vmath.h"
#include "engine/onednn/matmul.h"
#include "harness/stopwatch.h"
#include "reports/statistics.h"

namespace lra::harness {
namespace {

using engine::Place;
using engine::RowRole;
using engine::Step;

constexpr double kBurst_s = 0.05;

/// Median seconds of one call of make_call(worker)() on each worker at once, averaged over the workers.
template <class MakeCall>
double median_call_s(engine::Workers& workers, double burst_s, const MakeCall& make_call) {
  std::vector<double> medians(static_cast<size_t>(workers.count()));
  workers.run([&](int worker) {
    auto call = make_call(worker);
    call();  // touches the memory, makes this thread's handles
    std::vector<double> samples_s;
    const Clock::time_point begin = Clock::now();
    do {
      const Clock::time_point start = Clock::now();
      call();
      samples_s.push_back(seconds_since(start));
    } while (seconds_since(begin) < burst_s);
    medians[static_cast<size_t>(worker)] = reports::median(samples_s);
  });
  return reports::mean(medians);
}

/// A place's shape in one call of the step's kernel: a block's rows where it takes them.
engine::Layout layout_of_call(const Step& step, const Place& place, size_t index, bool output) {
  engine::Layout layout = place.layout;
  layout.offset = 0;
  if (step.rows == 0) return layout;
  const RowRole role = output ? step.roles.outputs[index] : step.roles.inputs[index];
  if (role == RowRole::rows)
    layout.shape.set(layout.shape.rank() >= 2 ? -2 : -1, std::min(engine::kPipelineRows, step.rows));
  return layout;
}

/// Elements from the first to one past the last of a window.
int64_t extent(const engine::Layout& layout) {
  int64_t last = 0;
  for (int axis = 0; axis < layout.shape.rank(); ++axis)
    last += (layout.shape[axis] - 1) * layout.strides[static_cast<size_t>(axis)];
  return last + 1;
}

/// The layouts of one call of a step, inputs first.
std::vector<engine::Layout> layouts_of_call(const Step& step) {
  std::vector<engine::Layout> layouts;
  for (size_t i = 0; i < step.inputs.size(); ++i) layouts.push_back(layout_of_call(step, step.inputs[i], i, false));
  for (size_t i = 0; i < step.outputs.size(); ++i) layouts.push_back(layout_of_call(step, step.outputs[i], i, true));
  return layouts;
}

/// Memory of one worker's calls of one kernel: an array for each argument, all of small exact numbers.
class HotCall {
 public:
  HotCall(const Step& step, const std::vector<engine::Layout>& layouts)
      : kernel_(*step.kernel),
        inputs_(step.inputs.size()),
        scratch_(kernel_.scratch_bytes()),
        shared_scratch_(kernel_.shared_scratch_bytes()) {
    constexpr float kSmall = 0.0625F;  // sums over many calls stay far from overflow
    for (const engine::Layout& layout : layouts) {
      arrays_.emplace_back(static_cast<size_t>(extent(layout)), kSmall);
      views_.push_back({.data = arrays_.back().data(), .dtype = engine::Dtype::f32, .layout = layout});
    }
  }
  void operator()() {
    const std::span<const engine::View> views = views_;
    kernel_.run({.inputs = views.first(inputs_),
                 .outputs = views.subspan(inputs_),
                 .scratch = scratch_.data(),
                 .shared_scratch = shared_scratch_.data()});
  }

 private:
  const engine::Kernel& kernel_;
  size_t inputs_;
  engine::AlignedVector<std::byte> scratch_, shared_scratch_;
  std::vector<engine::AlignedVector<float>> arrays_;
  std::vector<engine::View> views_;
};

/// Tells steps with the same kind of call from others.
std::string signature(const Step& step, const std::vector<engine::Layout>& layouts) {
  std::string text = fmt::format("{} {}", step.name, static_cast<int>(step.outputs[0].base));
  for (const engine::Layout& layout : layouts) {
    text += layout.shape.to_string();
    for (int axis = 0; axis < layout.shape.rank(); ++axis)
      text += fmt::format(" {}", layout.strides[static_cast<size_t>(axis)]);
  }
  return text;
}

/// One product of contiguous operands by oneDNN.
class LibraryProduct {
 public:
  explicit LibraryProduct(const engine::InnerProduct& p)
      : matmul_(engine::onednn::Matmul::find({.m = p.m,
                                              .n = p.n,
                                              .k = p.k,
                                              .a_row_stride = p.transpose_a ? p.m : p.k,
                                              .b_row_stride = p.transpose_b ? p.k : p.n,
                                              .c_row_stride = p.n,
                                              .transpose_a = p.transpose_a,
                                              .transpose_b = p.transpose_b})),
        a_(static_cast<size_t>(p.m * p.k), 0.5F),
        b_(static_cast<size_t>(p.k * p.n), 0.25F),
        c_(static_cast<size_t>(p.m * p.n)),
        scratch_(matmul_->scratch_bytes()) {}
  void operator()() { matmul_->run(a_.data(), b_.data(), nullptr, c_.data(), scratch_.data()); }

 private:
  std::shared_ptr<const engine::onednn::Matmul> matmul_;
  engine::AlignedVector<float> a_, b_, c_;
  engine::AlignedVector<std::byte> scratch_;
};

/// The same by the products of tiles, which take b^T in panels, packed beforehand, and pad rows.
class OwnProduct {
 public:
  explicit OwnProduct(const engine::InnerProduct& p)
      : shape_(p),
        n_(engine::padded_width(p.n)),
        a_(static_cast<size_t>(p.m * p.k), 0.5F),
        b_(static_cast<size_t>(p.k * engine::padded_to_panels(p.n)), 0.25F),
        c_(static_cast<size_t>(p.m * n_)) {}
  void operator()() {
    const engine::InnerProduct& p = shape_;
    if (p.transpose_b) {
      multiply(engine::PanelProduct{.rows = p.m,
                                    .depth = p.k,
                                    .columns = n_,
                                    .a = a_.data(),
                                    .a_row_stride = p.k,
                                    .panels = b_.data(),
                                    .c = c_.data(),
                                    .c_row_stride = n_});
    } else {
      multiply(engine::RowProduct{.m = p.m,
                                  .n = n_,
                                  .k = p.k,
                                  .a = a_.data(),
                                  .a_row_stride = p.transpose_a ? p.m : p.k,
                                  .b = b_.data(),
                                  .b_row_stride = n_,
                                  .c = c_.data(),
                                  .c_row_stride = n_,
                                  .transpose_a = p.transpose_a});
    }
  }

 private:
  engine::InnerProduct shape_;
  int64_t n_;
  engine::AlignedVector<float> a_, b_, c_;
};

/// Extent of the products that the sgemm bursts make.
constexpr int64_t kSquare = 512;

}  // namespace

Work work_of(const Step& step) {
  return {.product_flops = static_cast<double>(step.product_flops + step.effort.repeated_flops),
          .exponentials = static_cast<double>(step.effort.exponentials),
          .powers = static_cast<double>(step.effort.powers),
          .draws = static_cast<double>(step.effort.draws)};
}

WorkRates measure_work_rates(engine::Workers& workers) {
  constexpr int64_t kRows = 64, kColumns = 64;  // 16 KiB: stays in L1
  using Elementwise = void (*)(const float*, float*, int64_t);
  constexpr double kElements = kRows * kColumns;
  const auto elementwise_s = [&](Elementwise function) {
    return median_call_s(workers, kBurst_s, [=](int) {
      return [=, x = engine::AlignedVector<float>(kRows * kColumns, -1.0F),
              y = engine::AlignedVector<float>(kRows * kColumns)]() mutable {
        function(x.data(), y.data(), static_cast<int64_t>(x.size()));
      };
    });
  };
  const double exponentials_s = elementwise_s(engine::exp_f32);
  const double powers_s = elementwise_s(engine::exp2_f32);
  const auto draws_s = median_call_s(workers, kBurst_s, [](int) {
    return [scales = engine::AlignedVector<float>(kRows * kColumns)]() mutable {
      engine::dropout_scales({.key = 1, .threshold = 6554, .rows = kRows, .columns = kColumns}, scales.data(),
                             kColumns);
    };
  });
  const double product_s =
      median_call_s(workers, kBurst_s, [](int) { return LibraryProduct({.m = kSquare, .n = kSquare, .k = kSquare}); });
  return {.product_gflops = 2.0 * kSquare * kSquare * kSquare / product_s * 1e-9,
          .exponentials_per_s = kElements / exponentials_s,
          .powers_per_s = kElements / powers_s,
          .draws_per_s = kElements / draws_s};
}

double hot_product_gflops(const Step& step, engine::Workers& workers) {
  constexpr int64_t kLargest = int64_t{1} << 22;  // floats of all arguments
  constexpr double kShortBurst_s = 0.005;
  if (step.product_flops == 0 || (step.name != "matmul" && step.name != "linear")) return 0;
  const std::vector<engine::Layout> layouts = layouts_of_call(step);
  int64_t floats = 0;
  for (const engine::Layout& layout : layouts) floats += extent(layout);
  if (floats > kLargest) return 0;
  const double share =
      step.rows == 0 ? 1.0
                     : static_cast<double>(std::min(engine::kPipelineRows, step.rows)) / static_cast<double>(step.rows);
  const double call_s = median_call_s(workers, kShortBurst_s, [&](int) { return HotCall(step, layouts); });
  return share * static_cast<double>(step.product_flops) / call_s * 1e-9;
}

double inner_product_gflops(const engine::InnerProduct& shape, engine::Workers& workers) {
  constexpr double kShortBurst_s = 0.02;
  double least_s = median_call_s(workers, kShortBurst_s, [&](int) { return LibraryProduct(shape); });
  if (!(shape.transpose_a && shape.transpose_b)) {
    least_s = std::min(least_s, median_call_s(workers, kShortBurst_s, [&](int) { return OwnProduct(shape); }));
  }
  return 2.0 * static_cast<double>(shape.m * shape.n * shape.k) / least_s * 1e-9;
}

WorkSeconds least_seconds(const engine::Plan& plan, engine::Workers& workers, const WorkRates& rates) {
  using ShapeKey = std::array<int64_t, 5>;
  std::map<std::string, double> step_gflops;
  std::map<ShapeKey, double> inner_gflops;
  WorkSeconds seconds;
  for (size_t i = 0; i < plan.steps(); ++i) {
    const Step& step = plan.step(i);
    const Work work = work_of(step);
    double others = work.product_flops;
    for (const engine::InnerProduct& inner : step.effort.products) {
      const auto [known, added] =
          inner_gflops.try_emplace(ShapeKey{inner.m, inner.n, inner.k, inner.transpose_a, inner.transpose_b}, 0.0);
      if (added) known->second = inner_product_gflops(inner, workers);
      seconds.products += static_cast<double>(inner.flops) / (known->second * 1e9);
      others -= static_cast<double>(inner.flops);
    }
    if (others > 0) {
      const auto [known, added] = step_gflops.try_emplace(signature(step, layouts_of_call(step)), 0.0);
      if (added) known->second = hot_product_gflops(step, workers);
      const double gflops = known->second > 0 ? known->second : rates.product_gflops;
      seconds.products += others / (gflops * 1e9);
    }
    if (work.exponentials > 0) seconds.exponentials += work.exponentials / rates.exponentials_per_s;
    if (work.powers > 0) seconds.exponentials += work.powers / rates.powers_per_s;
    if (work.draws > 0) seconds.draws += work.draws / rates.draws_per_s;
  }
  return seconds;
}

}  // namespace lra::harness
