#include "engine/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lra::engine {
namespace {

/// The coefficients of one step, in the weights' precision.
struct Coefficients {
  float beta1, one_minus_beta1, beta2, one_minus_beta2;
  float step_size;     // learning rate / (1 - beta1^t)
  float root_scale;    // 1 / sqrt(1 - beta2^t)
  float square_scale;  // 1 / (1 - beta2^t)
  float epsilon, keep, l2;
};

template <bool kInside>
void update(const Coefficients& c, int64_t count, const float* gradients, float* weights, float* m, float* v) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradients[i] + c.l2 * weights[i];
    m[i] = c.beta1 * m[i] + c.one_minus_beta1 * g;
    v[i] = c.beta2 * v[i] + c.one_minus_beta2 * g * g;
    const float denominator =
        kInside ? std::sqrt(v[i] * c.square_scale + c.epsilon) : std::sqrt(v[i]) * c.root_scale + c.epsilon;
    weights[i] = weights[i] * c.keep - c.step_size * m[i] / denominator;
  }
}

/// Share of the way from `from` to `to` at which `step` is, clamped.
double share(double step, double from, double to) {
  return to <= from ? 1.0 : std::clamp((step - from) / (to - from), 0.0, 1.0);
}

double mix(double a, double b, double t) { return a + (b - a) * t; }

/// Linear OneCycle: `start` to `peak` over the warm-up, then to `end` at the last step (PyTorch counts phases from 0:
/// the peak is reached at warmup - 1).
double onecycle(const Schedule& schedule, int64_t step, double start, double peak, double end) {
  const double peak_step = static_cast<double>(schedule.warmup_steps) - 1;
  const double last_step = static_cast<double>(schedule.total_steps) - 1;
  const auto at = static_cast<double>(step);
  if (at <= peak_step) return mix(start, peak, share(at, 0, peak_step));
  return mix(peak, end, share(at, peak_step, last_step));
}

}  // namespace

void adam_update(const AdamParams& params, const AdamStep& step, int64_t count, const float* gradients, float* weights,
                 float* m, float* v) {
  const auto t = static_cast<double>(step.number);
  const double correction1 = 1.0 - std::pow(step.beta1, t), correction2 = 1.0 - std::pow(params.beta2, t);
  const bool decoupled = params.decay == Decay::decoupled;
  const Coefficients c{.beta1 = static_cast<float>(step.beta1),
                       .one_minus_beta1 = static_cast<float>(1.0 - step.beta1),
                       .beta2 = static_cast<float>(params.beta2),
                       .one_minus_beta2 = static_cast<float>(1.0 - params.beta2),
                       .step_size = static_cast<float>(step.learning_rate / correction1),
                       .root_scale = static_cast<float>(1.0 / std::sqrt(correction2)),
                       .square_scale = static_cast<float>(1.0 / correction2),
                       .epsilon = static_cast<float>(params.epsilon),
                       .keep = static_cast<float>(decoupled ? 1.0 - step.learning_rate * params.weight_decay : 1.0),
                       .l2 = static_cast<float>(decoupled ? 0.0 : params.weight_decay)};
  if (params.epsilon_place == EpsilonPlace::inside_root) {
    update<true>(c, count, gradients, weights, m, v);
  } else {
    update<false>(c, count, gradients, weights, m, v);
  }
}

double Schedule::learning_rate(int64_t step) const {
  const auto s = static_cast<double>(step), w = static_cast<double>(warmup_steps);
  const double warmup = warmup_steps > 0 ? std::min(1.0, s / w) : 1.0;
  switch (kind) {
    case ScheduleKind::constant:
      return base * warmup;
    case ScheduleKind::rsqrt:
      return base * warmup / std::sqrt(std::max({s, w, 1.0}));
    case ScheduleKind::cosine: {
      const double progress = std::max(0.0, (s - w) / static_cast<double>(steps_per_cycle));
      return base * warmup * std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * std::fmod(progress, 1.0))));
    }
    case ScheduleKind::onecycle_linear: {
      const double start = base / onecycle_div;
      return onecycle(*this, step, start, base, start / onecycle_final_div);
    }
  }
  return base;
}

double Schedule::beta1(int64_t step, double fixed) const {
  if (kind != ScheduleKind::onecycle_linear || !cycle_momentum) return fixed;
  return onecycle(*this, step, max_momentum, base_momentum, max_momentum);
}

}  // namespace lra::engine
