// A plan: the graph's nodes in order, each with its kernel and the places of its arguments in one arena.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/aligned.h"
#include "engine/graph.h"
#include "engine/op.h"

namespace lra::engine {

/// What one execution is bound to. All arrays are of the graph's dtype where not said otherwise.
struct Bindings {
  std::byte* arena = nullptr;     // Plan::arena_bytes() bytes, aligned to 64
  void* parameters = nullptr;     // the flat array of Parameters
  void* gradients = nullptr;      // the lane's sums, laid out like the parameters; not read in plans without sinks
  std::span<void* const> inputs;  // in the order of Graph::inputs(), contiguous
  ExampleKeys keys;
};

/// Where a value lives.
enum class Base : uint8_t { arena, input, parameter, constant, gradient };

/// A value's window: elements of `layout` counted from its base, plus `byte_offset`.
struct Place {
  Base base = Base::arena;
  int32_t index = -1;  // input number, constant number, or (until laid out) buffer number
  int64_t byte_offset = 0;
  Dtype dtype = Dtype::f32;
  Layout layout;
  bool block_local = false;  // only a block's rows exist: every block of a pipeline uses the same memory
};

/// Rows that a pipeline of row-wise steps works on at a time: what its steps hand each other stays in L2.
inline constexpr int64_t kPipelineRows = 256;

/// One kernel call, or for row-wise steps one call for each block of kPipelineRows rows.
struct Step {
  std::shared_ptr<const Kernel> kernel;
  std::shared_ptr<const Kernel> tail_kernel;  // for the rows after the last full block; null when there are none
  std::vector<Place> inputs;
  std::vector<Place> outputs;
  RowRoles roles;            // of a row-wise step
  std::vector<char> zeroed;  // by output of a row-wise step: a sum over rows that starts from zero
  int64_t rows = 0;          // that it runs over; 0: not row-wise
  bool begins_pipeline = false;
  size_t pipeline_end = 0;     // one past the last step that runs block by block together with this one
  int64_t scratch_offset = 0;  // bytes into the arena
  int32_t node = -1;           // of the graph; -1 for a copy of an output
  std::string name;            // of the operation, or "copy"
  std::string scope;           // where in the model
  int64_t product_flops = 0;   // 2mnk over its matrix products
  Effort effort;               // beyond these
};

/// What a profiled run reports of each kernel call.
class CallObserver {
 public:
  using Clock = std::chrono::steady_clock;
  virtual ~CallObserver() = default;
  /// Step `step` worked on the rows from `row_begin` on (0 when it is not row-wise) from `start` to `stop`.
  virtual void called(size_t step, int64_t row_begin, Clock::time_point start, Clock::time_point stop) = 0;
};

/// Immutable once built; shared by all workers.
class Plan {
 public:
  /// Plans every node that an output or a parameter gradient needs. Makes all kernels and primitives.
  explicit Plan(const Graph& graph);

  /// Bytes of the arena: activations, gradients of activations and scratch at their highest.
  int64_t arena_bytes() const { return arena_bytes_; }
  int64_t constant_bytes() const { return constant_bytes_; }
  size_t steps() const { return steps_.size(); }
  /// Steps before this one make the forward pass.
  size_t backward_begin() const { return backward_begin_; }
  const Step& step(size_t index) const { return steps_[index]; }
  /// 2mnk over all matrix products that the plan executes (operations that declare them).
  int64_t product_flops() const { return product_flops_; }

  /// Runs steps begin <= i < end. Does not allocate.
  void run(const Bindings& bindings, size_t begin, size_t end) const;
  void run(const Bindings& bindings) const { run(bindings, 0, steps_.size()); }
  /// The same, telling `observer` of every kernel call (two readings of the clock a call).
  void run_profiled(const Bindings& bindings, size_t begin, size_t end, CallObserver& observer) const;

  /// The window of a named output after a run with these bindings. Throws std::logic_error for unknown names.
  View output(const std::string& name, const Bindings& bindings) const;

 private:
  friend class Planner;
  struct Output {
    std::string name;
    Place place;
  };
  View resolve(const Place& place, const Bindings& bindings) const;
  template <class Call>
  void run_steps(const Bindings& bindings, size_t begin, size_t end, Call&& call) const;
  template <class Call>
  void run_pipeline(const Bindings& bindings, size_t begin, size_t end, Call&& call) const;

  std::vector<Step> steps_;
  std::vector<Output> outputs_;
  std::vector<AlignedVector<std::byte>> constants_;
  size_t backward_begin_ = 0;
  int64_t arena_bytes_ = 0;
  int64_t constant_bytes_ = 0;
  int64_t product_flops_ = 0;
  Dtype dtype_ = Dtype::f32;
};

/// An aligned block of memory for a plan's execution. `poison` fills it with NaN bit patterns.
class Arena {
 public:
  explicit Arena(int64_t bytes);
  std::byte* data() const { return data_.get(); }
  int64_t bytes() const { return bytes_; }
  void poison();

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  int64_t bytes_;
};

}  // namespace lra::engine
