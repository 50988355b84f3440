// Adam and AdamW on one flat array, learning-rate schedules, gradient clipping.
#pragma once

#include <cstdint>
#include <string>

namespace lra::engine {

/// Where weight decay acts: in the gradient (Kingma and Ba 2015 with an L2 term), or on the weights themselves
/// (Loshchilov and Hutter 2019; what both reference code bases do).
enum class Decay { l2, decoupled };

/// Where epsilon stands: step = m / (sqrt(v) + epsilon), as in PyTorch and Flax, or m / sqrt(v + epsilon).
enum class EpsilonPlace { outside_root, inside_root };

struct AdamParams {
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  Decay decay = Decay::decoupled;
  EpsilonPlace epsilon_place = EpsilonPlace::outside_root;
};

/// What changes from step to step.
struct AdamStep {
  int64_t number = 1;  // from 1: for the bias corrections
  double learning_rate = 0.0;
  double beta1 = 0.9;  // schedules may cycle it
};

/// Updates `count` weights from their gradients; m and v are the first and second moments. Element by element, so any
/// split of the array into ranges gives the same bits.
void adam_update(const AdamParams& params, const AdamStep& step, int64_t count, const float* gradients, float* weights,
                 float* m, float* v);

enum class ScheduleKind { constant, rsqrt, cosine, onecycle_linear };

/// lra-spec 3.1 (rsqrt, cosine: Flax, warm-up from 0) and 3.3 (PyTorch's OneCycleLR with linear annealing).
struct Schedule {
  ScheduleKind kind = ScheduleKind::constant;
  double base = 1e-4;  // learning rate: the factor of rsqrt, the peak of the others
  int64_t warmup_steps = 0;
  int64_t total_steps = 1;          // onecycle
  int64_t steps_per_cycle = 1;      // cosine
  double onecycle_div = 25.0;       // start = base / div
  double onecycle_final_div = 1e4;  // end = start / final_div
  bool cycle_momentum = false;      // beta1 from max down to base and back, against the rate (PyTorch's default)
  double base_momentum = 0.85;
  double max_momentum = 0.95;

  /// Rate of step `step`, counted from 0.
  double learning_rate(int64_t step) const;
  /// beta1 of step `step`, `fixed` when the schedule does not cycle it.
  double beta1(int64_t step, double fixed) const;
};

}  // namespace lra::engine
