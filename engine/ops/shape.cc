#include "engine/ops/shape.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/errors.h"
#include "engine/op.h"

namespace lra::engine {
namespace {

int normal_axis(const Shape& shape, int axis) {
  LRA_CHECK(axis >= -shape.rank() && axis < shape.rank(), fmt::format("axis {} of {}", axis, shape.to_string()));
  return axis < 0 ? axis + shape.rank() : axis;
}

class ReshapeOp final : public ViewOp {
 public:
  explicit ReshapeOp(const Shape& shape) : shape_(shape) {}
  std::string_view name() const override { return "reshape"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override { return {{inputs[0].dtype, shape_}}; }
  std::optional<Layout> view(const Layout& input, size_t) const override {
    if (!input.is_contiguous()) return std::nullopt;
    Layout layout = Layout::contiguous(shape_);
    layout.offset = input.offset;
    return layout;
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    return {reshape(arguments.output_gradients[0], arguments.inputs[0].shape())};
  }

 private:
  Shape shape_;
};

class TransposeOp final : public ViewOp {
 public:
  TransposeOp(int a, int b) : a_(a), b_(b) {}
  std::string_view name() const override { return "transpose"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    Shape shape = inputs[0].shape;
    shape.set(a_, inputs[0].shape[b_]);
    shape.set(b_, inputs[0].shape[a_]);
    return {{inputs[0].dtype, shape}};
  }
  std::optional<Layout> view(const Layout& input, size_t) const override {
    Layout layout = input;
    layout.shape.set(a_, input.shape[b_]);
    layout.shape.set(b_, input.shape[a_]);
    std::swap(layout.strides[static_cast<size_t>(a_)], layout.strides[static_cast<size_t>(b_)]);
    return layout;
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    return {transpose(arguments.output_gradients[0], a_, b_)};
  }

 private:
  int a_, b_;
};

/// Windows one after another along an axis: split (all of them) and slice (one of them).
class WindowsOp final : public ViewOp {
 public:
  WindowsOp(int axis, std::vector<int64_t> begins, std::vector<int64_t> extents)
      : axis_(axis), begins_(std::move(begins)), extents_(std::move(extents)) {}
  std::string_view name() const override { return "windows"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    std::vector<Type> types;
    for (const int64_t extent : extents_) {
      types.push_back(inputs[0]);
      types.back().shape.set(axis_, extent);
    }
    return types;
  }
  std::optional<Layout> view(const Layout& input, size_t index) const override {
    Layout layout = input;
    layout.shape.set(axis_, extents_[index]);
    layout.offset += begins_[index] * input.strides[static_cast<size_t>(axis_)];
    return layout;
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var input = arguments.inputs[0];
    std::vector<Var> pieces;
    int64_t at = 0;
    for (size_t i = 0; i < extents_.size(); ++i) {
      if (begins_[i] > at) pieces.push_back(zeros(input, begins_[i] - at));
      const Var gradient = arguments.output_gradients[i];
      pieces.push_back(gradient.valid() ? gradient : zeros(input, extents_[i]));
      at = begins_[i] + extents_[i];
    }
    if (at < input.shape()[axis_]) pieces.push_back(zeros(input, input.shape()[axis_] - at));
    return {pieces.size() == 1 ? pieces[0] : concat(pieces, axis_)};
  }

 private:
  Var zeros(Var like, int64_t extent) const {
    Shape shape = like.shape();
    shape.set(axis_, extent);
    return like.graph().constant("zeros", shape, std::vector<double>(static_cast<size_t>(shape.elements()), 0.0));
  }

  int axis_;
  std::vector<int64_t> begins_, extents_;
};

class ConcatOp final : public PackOp {
 public:
  explicit ConcatOp(int axis) : axis_(axis) {}
  std::string_view name() const override { return "concat"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    Type type = inputs[0];
    int64_t extent = 0;
    for (const Type& input : inputs) {
      Shape expected = type.shape;
      expected.set(axis_, input.shape[axis_]);
      LRA_CHECK(input.shape == expected && input.dtype == type.dtype,
                fmt::format("[concat] {} does not fit {}", input.shape.to_string(), type.shape.to_string()));
      extent += input.shape[axis_];
    }
    type.shape.set(axis_, extent);
    return {type};
  }
  Layout piece(const Layout& output, std::span<const Type> inputs, size_t index) const override {
    Layout layout = output;
    layout.shape = inputs[index].shape;
    for (size_t i = 0; i < index; ++i)
      layout.offset += inputs[i].shape[axis_] * output.strides[static_cast<size_t>(axis_)];
    return layout;
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    std::vector<Var> gradients;
    int64_t begin = 0;
    for (size_t i = 0; i < arguments.inputs.size(); ++i) {
      const int64_t end = begin + arguments.inputs[i].shape()[axis_];
      gradients.push_back(arguments.needed[i] ? slice(arguments.output_gradients[0], axis_, begin, end) : Var());
      begin = end;
    }
    return gradients;
  }

 private:
  int axis_;
};

class SplitHeadsOp final : public ViewOp {
 public:
  explicit SplitHeadsOp(int64_t heads) : heads_(heads) {}
  std::string_view name() const override { return "split_heads"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    const Shape& x = inputs[0].shape;
    return {{inputs[0].dtype, {heads_, x[0], x[1] / heads_}}};
  }
  std::optional<Layout> view(const Layout& input, size_t) const override {
    const int64_t width = input.shape[1] / heads_;
    const int64_t row = input.strides[0];
    const int64_t column = input.strides[1];
    return Layout{
        .shape = {heads_, input.shape[0], width}, .strides = {width * column, row, column}, .offset = input.offset};
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    return {merge_heads(arguments.output_gradients[0])};
  }

 private:
  int64_t heads_;
};

class MergeHeadsOp final : public PackOp {
 public:
  std::string_view name() const override { return "merge_heads"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    const Shape& x = inputs[0].shape;
    return {{inputs[0].dtype, {x[1], x[0] * x[2]}}};
  }
  Layout piece(const Layout& output, std::span<const Type> inputs, size_t) const override {
    return *SplitHeadsOp(inputs[0].shape[0]).view(output, 0);
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    return {split_heads(arguments.output_gradients[0], arguments.inputs[0].shape()[0])};
  }
};

/// Adds rows of its first input to rows of a zeroed output, in order of the indices: the gradient of gather.
class ScatterOp final : public Op {
 public:
  explicit ScatterOp(int64_t rows) : rows_(rows) {}
  std::string_view name() const override { return "scatter"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    Type type = inputs[0];
    type.shape.set(-2, rows_);
    return {type};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override;
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    return {gather(arguments.output_gradients[0], arguments.inputs[1]), Var()};
  }

 private:
  int64_t rows_;
};

class GatherOp final : public Op {
 public:
  std::string_view name() const override { return "gather"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    Type type = inputs[0];
    type.shape.set(-2, inputs[1].shape[0]);
    return {type};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override;
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var x = arguments.inputs[0];
    return {x.graph().apply1(std::make_shared<const ScatterOp>(x.shape()[-2]),
                             {arguments.output_gradients[0], arguments.inputs[1]}),
            Var()};
  }
};

/// Copies (gather) or adds (scatter) row `indices[i]` of the wide side from or to row i of the narrow side.
template <class T, bool kScatter>
class IndexedRowsKernel final : public Kernel {
  void run(const KernelArguments& arguments) const override {
    const View& narrow = kScatter ? arguments.inputs[0] : arguments.outputs[0];
    const View& wide = kScatter ? arguments.outputs[0] : arguments.inputs[0];
    const int32_t* index = arguments.inputs[1].as<int32_t>();
    const int64_t planes = narrow.shape().rank() == 3 ? narrow.shape()[0] : 1;
    const int64_t columns = narrow.shape()[-1];
    for (int64_t plane = 0; plane < planes; ++plane) {
      T* wide_plane = wide.as<T>() + (planes > 1 ? plane * wide.stride(0) : 0);
      T* narrow_plane = narrow.as<T>() + (planes > 1 ? plane * narrow.stride(0) : 0);
      if constexpr (kScatter) {
        for (int64_t row = 0; row < wide.shape()[-2]; ++row)
          std::fill_n(wide_plane + row * wide.stride(-2), columns, T{0});
      }
      for (int64_t i = 0; i < narrow.shape()[-2]; ++i) {
        T* far = wide_plane + index[i] * wide.stride(-2);
        T* near = narrow_plane + i * narrow.stride(-2);
        if constexpr (kScatter) {
          for (int64_t c = 0; c < columns; ++c) far[c] += near[c];
        } else {
          std::copy_n(far, columns, near);
        }
      }
    }
  }
};

template <bool kScatter>
std::unique_ptr<Kernel> indexed_rows_kernel(Dtype dtype) {
  if (dtype == Dtype::f64) return std::make_unique<IndexedRowsKernel<double, kScatter>>();
  return std::make_unique<IndexedRowsKernel<float, kScatter>>();
}

std::unique_ptr<Kernel> ScatterOp::kernel(const KernelRequest& request) const {
  return indexed_rows_kernel<true>(request.inputs[0].dtype);
}

std::unique_ptr<Kernel> GatherOp::kernel(const KernelRequest& request) const {
  return indexed_rows_kernel<false>(request.inputs[0].dtype);
}

}  // namespace

Var reshape(Var x, const Shape& shape) {
  LRA_CHECK(x.shape().elements() == shape.elements(),
            fmt::format("[reshape] {} to {}", x.shape().to_string(), shape.to_string()));
  if (x.shape() == shape) return x;
  return x.graph().apply1(std::make_shared<const ReshapeOp>(shape), {x});
}

Var transpose(Var x, int a, int b) {
  a = normal_axis(x.shape(), a);
  b = normal_axis(x.shape(), b);
  if (a == b) return x;
  return x.graph().apply1(std::make_shared<const TransposeOp>(a, b), {x});
}

std::vector<Var> split(Var x, int parts, int axis) {
  axis = normal_axis(x.shape(), axis);
  LRA_CHECK(parts > 0, fmt::format("[split] into {} parts", parts));
  const int64_t extent = x.shape()[axis] / parts;
  LRA_CHECK(extent * parts == x.shape()[axis],
            fmt::format("[split] {} into {} along axis {}", x.shape().to_string(), parts, axis));
  std::vector<int64_t> begins;
  begins.reserve(static_cast<size_t>(parts));
  for (int i = 0; i < parts; ++i) begins.push_back(i * extent);
  const std::vector<int64_t> extents(begins.size(), extent);
  const Var inputs[] = {x};
  return x.graph().apply(std::make_shared<const WindowsOp>(axis, begins, extents), inputs);
}

Var slice(Var x, int axis, int64_t begin, int64_t end) {
  axis = normal_axis(x.shape(), axis);
  LRA_CHECK(0 <= begin && begin < end && end <= x.shape()[axis],
            fmt::format("[slice] {}..{} of axis {} of {}", begin, end, axis, x.shape().to_string()));
  if (begin == 0 && end == x.shape()[axis]) return x;
  return x.graph().apply1(
      std::make_shared<const WindowsOp>(axis, std::vector<int64_t>{begin}, std::vector<int64_t>{end - begin}), {x});
}

Var concat(std::span<const Var> parts, int axis) {
  LRA_CHECK(!parts.empty(), "[concat] of nothing");
  axis = normal_axis(parts[0].shape(), axis);
  if (parts.size() == 1) return parts[0];
  return parts[0].graph().apply(std::make_shared<const ConcatOp>(axis), parts)[0];
}

Var split_heads(Var x, int64_t heads) {
  LRA_CHECK(x.shape().rank() == 2 && x.shape()[1] % heads == 0,
            fmt::format("[split_heads] {} into {} heads", x.shape().to_string(), heads));
  return x.graph().apply1(std::make_shared<const SplitHeadsOp>(heads), {x});
}

Var merge_heads(Var x) {
  LRA_CHECK(x.shape().rank() == 3, fmt::format("[merge_heads] of {}", x.shape().to_string()));
  return x.graph().apply1(std::make_shared<const MergeHeadsOp>(), {x});
}

Var gather(Var x, Var indices) {
  LRA_CHECK(
      x.shape().rank() >= 2 && x.shape().rank() <= 3 && indices.dtype() == Dtype::i32 && indices.shape().rank() == 1,
      fmt::format("[gather] rows of {} by {}", x.shape().to_string(), indices.shape().to_string()));
  return x.graph().apply1(std::make_shared<const GatherOp>(), {x, indices});
}

}  // namespace lra::engine
