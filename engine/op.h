// What an operation of the graph knows: its types, its kernels, its gradient, and where its result may live.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/graph.h"
#include "engine/random.h"
#include "engine/team.h"
#include "engine/tensor.h"

namespace lra::engine {

/// What one execution of a kernel works on.
struct KernelArguments {
  std::span<const View> inputs;
  std::span<const View> outputs;
  std::byte* scratch = nullptr;  // scratch_bytes() of the kernel, aligned to 64 bytes; its content is arbitrary
  ExampleKeys keys;
  int64_t row_begin = 0;  // of the whole value: the row that the views' first row is, when run block by block
  // shared_scratch_bytes() of the kernel likewise, the same for all members of a team
  std::byte* shared_scratch = nullptr;
  Member member = {};  // of the team that runs this kernel together; alone unless Kernel::is_shared()
};

/// What one argument of a row-wise operation is to a block of rows. Rows are the second to last axis (the only one of a
/// vector).
enum class RowRole : uint8_t {
  rows,    // the block's rows of it are read or written
  whole,   // all of it is read for every block (weights)
  summed,  // an output to which every block adds
  owned,   // an output, given whole, of which every block writes or adds to elements that no other block touches
};

/// The roles of all arguments; no outputs: not row-wise.
struct RowRoles {
  std::vector<RowRole> inputs;
  std::vector<RowRole> outputs;
};

/// The roles of an elementwise operation: operands of `output`'s rows, or repeated along them.
RowRoles elementwise_roles(std::span<const Type> inputs, const Shape& output);

/// Code bound to layouts, made once when a plan is built. Immutable, so that all workers share it.
class Kernel {
 public:
  virtual ~Kernel() = default;
  /// Of each thread that runs it.
  virtual size_t scratch_bytes() const { return 0; }
  /// Of all members of a team together; not for row-wise operations.
  virtual size_t shared_scratch_bytes() const { return 0; }
  /// Whether all members of a team call run() at once, each with scratch of its own, and divide the work among them by
  /// KernelArguments::member, with the same bits for any number of members. Otherwise one thread runs it alone (which
  /// is right for row-wise operations, too: their blocks are divided by the plan).
  virtual bool is_shared() const { return false; }
  /// May not allocate, or read an output that it has not written (unless it accumulates into it). Throws nothing of its
  /// own; a shared kernel lets pass what waiting for the team throws.
  virtual void run(const KernelArguments& arguments) const = 0;
};

/// What a kernel is made for: layouts (the views' `data` is null), and which outputs to add to instead of overwriting.
/// Only the last axis is sure to be contiguous: rows may lie apart, and planes [h, rows, d] side by side in each row.
struct KernelRequest {
  std::span<const View> inputs;
  std::span<const View> outputs;
  std::span<const bool> accumulate;  // one an output; true only where Op::accumulates says so
  Kernels kernels = Kernels::fused;
};

/// An operation's outputs made a second time, for the backward pass.
struct Remade {
  std::vector<Var> outputs;
  std::vector<Var> extra;  // what the gradient can use, made on the way
};

/// What the gradient of an operation is built from.
struct VjpArguments {
  std::span<const Var> inputs;
  std::span<const Var> outputs;
  std::span<const Var> output_gradients;  // not valid() where no gradient reaches an output
  std::span<const bool> needed;           // one an input: whether anybody wants its gradient
  std::span<const Var> extra;  // of Op::remake, where somebody needed the outputs remade before; empty otherwise
  /// defer(i, make) instead of returning the gradient of input i: `make` adds its nodes only where the gradient is
  /// needed, next to what will read it. For row-wise work that would otherwise end an earlier pipeline.
  const std::function<void(size_t input, std::function<Var()> make)>& defer;
};

/// A kind of product that a kernel makes inside: op(a) op(b) with op(a): [m, k] and op(b): [k, n], tile by tile or
/// block by block.
struct InnerProduct {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  int64_t flops = 0;  // of all of this kind together, as product_flops() and repeated_flops count them
};

/// What an operation computes beyond the products of its definition; with them, the least that it can take.
struct Effort {
  int64_t exponentials = 0;            // exp, or what costs about as much (tanh, erf)
  int64_t powers = 0;                  // 2^x with bounded x, which is cheaper
  int64_t draws = 0;                   // random decisions
  int64_t repeated_flops = 0;          // products made again so that they need not be kept
  std::vector<InnerProduct> products;  // that a fused kernel makes of product_flops() and repeated_flops; empty: untold
};

/// An operation: a small immutable object. Arguments are checked by the free function that makes the node.
class Op {
 public:
  virtual ~Op() = default;
  virtual std::string_view name() const = 0;
  virtual std::vector<Type> infer(std::span<const Type> inputs) const = 0;
  virtual std::unique_ptr<Kernel> kernel(const KernelRequest& request) const = 0;
  /// One gradient an input; an invalid Var where there is none (not needed, or not differentiable in it).
  virtual std::vector<Var> vjp(const VjpArguments& arguments) const = 0;
  /// Operations that cost less than keeping their outputs until the backward pass (normalisations, activations: row by
  /// row, from inputs that are kept anyway) make them again here: same shapes and values. Empty: they are kept.
  virtual std::optional<Remade> remake(std::span<const Var> inputs, std::span<const Var> outputs) const {
    static_cast<void>(inputs), static_cast<void>(outputs);
    return std::nullopt;
  }
  /// Whether the kernel can add to output `index` instead of overwriting it.
  virtual bool accumulates(size_t index) const {
    static_cast<void>(index);
    return false;
  }
  /// Says that the operation can run block by block over rows, in any partition: its fused kernels take their extents
  /// from the views they run on (or from the request, which then has a block's). The plan runs neighbouring row-wise
  /// operations block by block together, so that what one writes is still in cache when the next reads it.
  virtual RowRoles row_roles(std::span<const Type> inputs) const {
    static_cast<void>(inputs);
    return {};
  }
  /// Floating-point operations of its matrix products, 2mnk each.
  virtual int64_t product_flops(std::span<const Type> inputs) const {
    static_cast<void>(inputs);
    return 0;
  }
  virtual Effort effort(std::span<const Type> inputs) const {
    static_cast<void>(inputs);
    return {};
  }
};

/// An operation whose results are windows on its input: nothing is moved. When no strides express the window
/// (a reshape of something strided), the plan first makes its input contiguous.
class ViewOp : public Op {
 public:
  /// Where output `index` lies, given where the input lies; nothing when the input must be made contiguous first.
  virtual std::optional<Layout> view(const Layout& input, size_t index) const = 0;
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const final;
};

/// An operation that only puts its inputs side by side: whoever makes an input writes it in place where possible, and
/// the plan copies the others.
class PackOp : public Op {
 public:
  /// Where input `index` lies inside the output.
  virtual Layout piece(const Layout& output, std::span<const Type> inputs, size_t index) const = 0;
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const final;
};

}  // namespace lra::engine
