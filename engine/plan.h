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
#include "engine/team.h"

namespace lra::engine {

/// What one execution is bound to. All arrays are of the graph's dtype where not said otherwise.
struct Bindings {
  std::byte* arena = nullptr;     // Plan::arena_bytes() bytes, or shared_bytes() when there is `own`; aligned to 64
  std::byte* own = nullptr;       // own_bytes() bytes of this member; null: behind the shared ones (one thread only)
  void* parameters = nullptr;     // the flat array of Parameters
  void* gradients = nullptr;      // the lane's sums, laid out like the parameters; not read in plans without sinks
  std::span<void* const> inputs;  // in the order of Graph::inputs(), contiguous
  ExampleKeys keys;
  Member member = {};  // every member of a team runs the same steps; all that is not `own` is the same for all
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
  bool block_local = false;  // only a block's rows exist, in each member's own memory, which all blocks use in turn
};

/// Rows that a pipeline of row-wise steps works on at a time: what its steps hand each other stays in L2.
inline constexpr int64_t kPipelineRows = 256;

/// Blocks come in groups of whole blocks, as many as depend on the graph alone. The members of a team take groups in
/// turn. What a group adds to a sum it adds up by itself (the first one in place); groups are added in their order.
struct PipelineGroups {
  static constexpr int64_t kFewestRows = 1024;
  static constexpr int64_t kFewestRowsLarge = 4096;  // where a sum is larger than this: adding it takes longer
  static constexpr int64_t kLargeBytes = int64_t{128} << 10;
  static constexpr int64_t kMost = 16;
};

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
  size_t pipeline_end = 0;        // one past the last step that runs block by block together with this one
  int64_t group_rows = 0;         // of the pipeline; all rows when it is not divided
  std::vector<int64_t> partials;  // by output, where groups but the first add up: bytes into own memory, -1: not summed
  int64_t scratch_offset = -1;    // bytes into own memory; -1: none
  int64_t shared_scratch_offset = -1;  // bytes into the arena; -1: none
  int32_t node = -1;                   // of the graph; -1 for a copy of an output
  std::string name;                    // of the operation, or "copy"
  std::string scope;                   // where in the model
  int64_t product_flops = 0;           // 2mnk over its matrix products
  Effort effort;                       // beyond these
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

  /// Bytes of the arena of one thread: activations, gradients of activations and scratch at their highest.
  int64_t arena_bytes() const { return shared_bytes_ + own_bytes_; }
  /// What a team needs once, and what every member needs for itself.
  int64_t shared_bytes() const { return shared_bytes_; }
  int64_t own_bytes() const { return own_bytes_; }
  /// Whether it has steps that a team divides (if their extents are large enough).
  bool is_divisible() const { return divisible_; }
  int64_t constant_bytes() const { return constant_bytes_; }
  size_t steps() const { return steps_.size(); }
  /// Steps before this one make the forward pass.
  size_t backward_begin() const { return backward_begin_; }
  const Step& step(size_t index) const { return steps_[index]; }
  /// 2mnk over all matrix products that the plan executes (operations that declare them).
  int64_t product_flops() const { return product_flops_; }

  /// Runs steps begin <= i < end. Does not allocate. All members of a team call it; when it returns, all have finished.
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
  template <class Call>
  void run_group(const Bindings& bindings, size_t begin, size_t end, int64_t group, Call&& call) const;
  void add_partials(const Bindings& bindings, size_t begin, size_t end) const;
  std::byte* own(const Bindings& bindings) const;

  std::vector<Step> steps_;
  std::vector<Output> outputs_;
  std::vector<AlignedVector<std::byte>> constants_;
  size_t backward_begin_ = 0;
  int64_t shared_bytes_ = 0;
  int64_t own_bytes_ = 0;
  bool divisible_ = false;
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
