// The least time a step can take on this machine: what it must compute, at the rates measured for work of that kind.
#pragma once

#include <cstdint>

#include "engine/lanes.h"
#include "engine/plan.h"

namespace lra::harness {

/// What a step of a plan has to compute for one example.
struct Work {
  double product_flops = 0;  // 2mnk over its matrix products, those made again included
  double exponentials = 0;
  double powers = 0;  // of 2
  double draws = 0;   // random decisions of dropout
};

/// As the step's operation states it.
Work work_of(const engine::Step& step);

/// Seconds of one worker, by kind of work.
struct WorkSeconds {
  double products = 0;
  double exponentials = 0;  // and powers
  double draws = 0;
  double total() const { return products + exponentials + draws; }
};

/// What one worker does a second on operands in its L1 or L2 cache, while all workers do the same.
struct WorkRates {
  double product_gflops = 0;  // of 512x512x512 products
  double exponentials_per_s = 0;
  double powers_per_s = 0;
  double draws_per_s = 0;
};

/// Takes about a fifth of a second.
WorkRates measure_work_rates(engine::Workers& workers);

/// GFLOP/s of one worker running the kernel of `step` again and again on the same operands, while all workers do so. 0
/// when the step is no product (`matmul`, `linear`) or its operands are too large to stay in cache.
double hot_product_gflops(const engine::Step& step, engine::Workers& workers);

/// GFLOP/s of one worker making one product of this shape again and again on the same operands, while all workers do
/// so: by oneDNN or by the products of tiles, whichever is faster.
double inner_product_gflops(const engine::InnerProduct& shape, engine::Workers& workers);

/// The least time of one execution of a plan on one worker. Products count at the rate of their shape on hot operands:
/// those that are steps of their own as hot_product_gflops() says, those inside other kernels, as far as the operation
/// tells their shapes, as inner_product_gflops() says, and any others at the rate of 512x512x512 products.
WorkSeconds least_seconds(const engine::Plan& plan, engine::Workers& workers, const WorkRates& rates);

}  // namespace lra::harness
