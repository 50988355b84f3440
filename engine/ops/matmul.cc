#include "engine/ops/matmul.h"

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <numeric>

#include "engine/errors.h"
#include "engine/kernels/rows.h"
#include "engine/onednn/matmul.h"
#include "engine/op.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"

namespace lra::engine {
namespace {

struct Transposition {
  bool a = false;
  bool b = false;
};

/// What a product is, read off its operands' layouts.
onednn::MatmulSpec spec_of(const View& a, const View& b, const View& c, Transposition transpose, bool bias,
                           bool accumulate) {
  const auto batch_stride = [](const View& view) {
    return view.shape().rank() == 3 && view.shape()[0] > 1 ? view.stride(0) : 0;
  };
  // A single row has no stride of its own; oneDNN wants one that fits.
  const auto row_stride = [](const View& view) { return view.shape()[-2] > 1 ? view.stride(-2) : view.shape()[-1]; };
  return {.batch = c.shape().rank() == 3 ? c.shape()[0] : 1,
          .m = c.shape()[-2],
          .n = c.shape()[-1],
          .k = a.shape()[transpose.a ? -2 : -1],
          .a_row_stride = row_stride(a),
          .b_row_stride = row_stride(b),
          .c_row_stride = row_stride(c),
          .a_batch_stride = batch_stride(a),
          .b_batch_stride = batch_stride(b),
          .c_batch_stride = batch_stride(c),
          .transpose_a = transpose.a,
          .transpose_b = transpose.b,
          .bias = bias,
          .accumulate = accumulate};
}

/// How the rows of a batch of matrices make one matrix: all of the first before those of the second, the first of each
/// before the second ones, or not at all.
enum class RowOrder { none, by_matrix, by_row };
RowOrder row_order(int64_t batch, int64_t rows, int64_t row_stride, int64_t batch_stride) {
  if (batch_stride == rows * row_stride) return RowOrder::by_matrix;
  return row_stride == batch * batch_stride ? RowOrder::by_row : RowOrder::none;
}

/// oneDNN has no fast kernel for a matrix that serves a whole batch. Where that is the right one, the others are joined
/// to one matrix of all their rows; otherwise there is a call for each.
class OneDnnKernel final : public Kernel {
 public:
  explicit OneDnnKernel(const onednn::MatmulSpec& spec) : spec_(spec) {
    const bool shares_a = spec.batch > 1 && spec.a_batch_stride == 0,
               shares_b = spec.batch > 1 && spec.b_batch_stride == 0;
    if (shares_a || shares_b) {
      const RowOrder order = row_order(spec.batch, spec.m, spec.a_row_stride, spec.a_batch_stride);
      if (!shares_a && !spec.transpose_a && order != RowOrder::none &&
          order == row_order(spec.batch, spec.m, spec.c_row_stride, spec.c_batch_stride)) {
        spec_.m *= spec.batch;
        if (order == RowOrder::by_row)
          spec_.a_row_stride = spec.a_batch_stride, spec_.c_row_stride = spec.c_batch_stride;
      } else {
        calls_ = spec.batch;
      }
      spec_.batch = 1;
    }
    matmul_ = onednn::Matmul::find(spec_);
  }
  size_t scratch_bytes() const override { return matmul_->scratch_bytes(); }
  void run(const KernelArguments& arguments) const override {
    for (int64_t i = 0; i < calls_; ++i)
      matmul_->run(arguments.inputs[0].as<float>() + i * spec_.a_batch_stride,
                   arguments.inputs[1].as<float>() + i * spec_.b_batch_stride,
                   spec_.bias ? arguments.inputs[2].as<float>() : nullptr,
                   arguments.outputs[0].as<float>() + i * spec_.c_batch_stride, arguments.scratch);
  }

 private:
  onednn::MatmulSpec spec_;  // of one call; its batch strides lead from one to the next
  int64_t calls_ = 1;
  std::shared_ptr<const onednn::Matmul> matmul_;
};

/// The plain product: one Eigen expression a matrix.
template <class T>
class EigenKernel final : public Kernel {
 public:
  explicit EigenKernel(const onednn::MatmulSpec& spec) : spec_(spec) {}

  void run(const KernelArguments& arguments) const override {
    for (int64_t i = 0; i < spec_.batch; ++i) {
      const Matrix a =
          map(arguments.inputs[0], i * spec_.a_batch_stride, spec_.a_row_stride, spec_.transpose_a, spec_.m, spec_.k);
      const Matrix b =
          map(arguments.inputs[1], i * spec_.b_batch_stride, spec_.b_row_stride, spec_.transpose_b, spec_.k, spec_.n);
      Matrix c = map(arguments.outputs[0], i * spec_.c_batch_stride, spec_.c_row_stride, false, spec_.m, spec_.n);
      if (!spec_.accumulate) c.setZero();
      if (spec_.transpose_a && spec_.transpose_b) {
        c.noalias() += a.transpose() * b.transpose();
      } else if (spec_.transpose_a) {
        c.noalias() += a.transpose() * b;
      } else if (spec_.transpose_b) {
        c.noalias() += a * b.transpose();
      } else {
        c.noalias() += a * b;
      }
      if (spec_.bias) {
        const T* bias = arguments.inputs[2].as<T>();
        for (int64_t row = 0; row < spec_.m; ++row)
          for (int64_t column = 0; column < spec_.n; ++column) c(row, column) += bias[column];
      }
    }
  }

 private:
  using Matrix = Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, Eigen::Unaligned,
                            Eigen::OuterStride<>>;
  static Matrix map(const View& view, int64_t offset, int64_t row_stride, bool transposed, int64_t rows,
                    int64_t columns) {
    if (transposed) std::swap(rows, columns);
    return Matrix(view.as<T>() + offset, rows, columns, Eigen::OuterStride<>(row_stride));
  }
  onednn::MatmulSpec spec_;
};

std::unique_ptr<Kernel> product_kernel(const KernelRequest& request, Transposition transpose, bool bias) {
  const onednn::MatmulSpec spec =
      spec_of(request.inputs[0], request.inputs[1], request.outputs[0], transpose, bias, request.accumulate[0]);
  if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<EigenKernel<double>>(spec);
  if (request.kernels == Kernels::plain) return std::make_unique<EigenKernel<float>>(spec);
  return std::make_unique<OneDnnKernel>(spec);
}

class MatmulOp final : public Op {
 public:
  explicit MatmulOp(Transposition transpose) : transpose_(transpose) {}
  std::string_view name() const override { return "matmul"; }
  bool accumulates(size_t) const override { return true; }

  std::vector<Type> infer(std::span<const Type> inputs) const override {
    const Shape &a = inputs[0].shape, &b = inputs[1].shape;
    const int64_t m = a[transpose_.a ? -1 : -2], n = b[transpose_.b ? -2 : -1];
    if (a.rank() == 2 && b.rank() == 2) return {{inputs[0].dtype, {m, n}}};
    return {{inputs[0].dtype, {a.rank() == 3 ? a[0] : b[0], m, n}}};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return product_kernel(request, transpose_, false);
  }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    if (!transpose_.a) return {{RowRole::rows, RowRole::whole}, {RowRole::rows}};
    // A sum over rows. A matrix that serves a whole batch keeps to the plain order of steps.
    if (!transpose_.b && inputs[0].shape.rank() == inputs[1].shape.rank())
      return {{RowRole::rows, RowRole::rows}, {RowRole::summed}};
    return {};
  }
  int64_t product_flops(std::span<const Type> inputs) const override {
    return 2 * infer(inputs)[0].shape.elements() * inputs[0].shape[transpose_.a ? -2 : -1];
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var a = arguments.inputs[0], b = arguments.inputs[1], g = arguments.output_gradients[0];
    Var da, db;
    if (arguments.needed[0]) da = transpose_.a ? matmul(b, g, transpose_.b, true) : matmul(g, b, false, !transpose_.b);
    if (arguments.needed[1]) db = transpose_.b ? matmul(g, a, true, transpose_.a) : matmul(a, g, !transpose_.a, false);
    return {da.valid() ? sum_to(da, a.shape()) : da, db.valid() ? sum_to(db, b.shape()) : db};
  }

 private:
  Transposition transpose_;
};

/// Sums over rows: the gradient of a bias.
template <class T>
class ColumnSumKernel final : public Kernel {
 public:
  explicit ColumnSumKernel(bool accumulate) : accumulate_(accumulate) {}
  void run(const KernelArguments& arguments) const override {
    const View& x = arguments.inputs[0];
    const int64_t rows = x.shape()[0], columns = x.shape()[1];
    constexpr int64_t kWidth = 64;  // columns summed in registers at once
    for (int64_t begin = 0; begin < columns; begin += kWidth) {
      T sums[kWidth] = {};
      const int64_t width = std::min(kWidth, columns - begin);
      for (int64_t row = 0; row < rows; ++row) {
        const T* in = x.as<T>() + row * x.stride(0) + begin;
        if (width == kWidth) {
#pragma omp simd
          for (int64_t i = 0; i < kWidth; ++i) sums[i] += in[i];
        } else {
          for (int64_t i = 0; i < width; ++i) sums[i] += in[i];
        }
      }
      T* out = arguments.outputs[0].as<T>() + begin;
      for (int64_t i = 0; i < width; ++i) out[i] = accumulate_ ? out[i] + sums[i] : sums[i];
    }
  }

 private:
  bool accumulate_;
};

class ColumnSumOp final : public Op {
 public:
  std::string_view name() const override { return "column_sum"; }
  RowRoles row_roles(std::span<const Type>) const override { return {{RowRole::rows}, {RowRole::summed}}; }
  bool accumulates(size_t) const override { return true; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    return {{inputs[0].dtype, {inputs[0].shape[1]}}};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<ColumnSumKernel<double>>(request.accumulate[0]);
    return std::make_unique<ColumnSumKernel<float>>(request.accumulate[0]);
  }
  std::vector<Var> vjp(const VjpArguments&) const override {
    LRA_CHECK(false, "column_sum has no gradient of its own");
    return {};
  }
};

class LinearOp final : public Op {
 public:
  std::string_view name() const override { return "linear"; }
  RowRoles row_roles(std::span<const Type>) const override {
    return {{RowRole::rows, RowRole::whole, RowRole::whole}, {RowRole::rows}};
  }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    return {{inputs[0].dtype, {inputs[0].shape[0], inputs[1].shape[1]}}};
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return product_kernel(request, {}, true);
  }
  int64_t product_flops(std::span<const Type> inputs) const override {
    return 2 * inputs[0].shape.elements() * inputs[1].shape[1];
  }
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var x = arguments.inputs[0], w = arguments.inputs[1], g = arguments.output_gradients[0];
    return {arguments.needed[0] ? matmul(g, w, false, true) : Var(),
            arguments.needed[1] ? matmul(x, g, true, false) : Var(),
            arguments.needed[2] ? x.graph().apply1(std::make_shared<const ColumnSumOp>(), {g}) : Var()};
  }
};

/// Columns [begin, begin + width) of a matrix, or elements of a vector.
View columns_of(View view, int64_t begin, int64_t width) {
  if (view.data != nullptr) view.data = static_cast<std::byte*>(view.data) + begin * bytes_of(view.dtype);
  view.layout.shape.set(-1, width);
  return view;
}

/// A product for each part of the columns.
class LinearPartsKernel final : public Kernel {
 public:
  explicit LinearPartsKernel(const KernelRequest& request) {
    for (const View& output : request.outputs) widths_.push_back(output.shape()[-1]);
    for_each_part(request.inputs, request.outputs, [&](std::span<const View> inputs, std::span<const View> output) {
      const bool overwrite = false;
      parts_.push_back(product_kernel(
          {.inputs = inputs, .outputs = output, .accumulate = std::span(&overwrite, 1), .kernels = request.kernels}, {},
          inputs.size() == 3));
    });
  }
  size_t scratch_bytes() const override {
    size_t most = 0;
    for (const std::unique_ptr<Kernel>& part : parts_) most = std::max(most, part->scratch_bytes());
    return most;
  }
  void run(const KernelArguments& arguments) const override {
    size_t part = 0;
    for_each_part(arguments.inputs, arguments.outputs, [&](std::span<const View> inputs, std::span<const View> output) {
      parts_[part++]->run({.inputs = inputs, .outputs = output, .scratch = arguments.scratch});
    });
  }

 private:
  template <class F>
  void for_each_part(std::span<const View> inputs, std::span<const View> outputs, F&& f) const {
    std::array<View, 3> part;
    part[0] = inputs[0];
    int64_t begin = 0;
    for (size_t i = 0; i < outputs.size(); begin += widths_[i++]) {
      for (size_t j = 1; j < inputs.size(); ++j) part[j] = columns_of(inputs[j], begin, widths_[i]);
      f(std::span<const View>(part.data(), inputs.size()), outputs.subspan(i, 1));
    }
  }

  std::vector<int64_t> widths_;
  std::vector<std::unique_ptr<Kernel>> parts_;
};

class LinearPartsOp final : public Op {
 public:
  explicit LinearPartsOp(std::vector<int64_t> widths) : widths_(std::move(widths)) {}
  std::string_view name() const override { return "linear_parts"; }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    RowRoles roles = {std::vector(inputs.size(), RowRole::whole), std::vector(widths_.size(), RowRole::rows)};
    roles.inputs[0] = RowRole::rows;
    return roles;
  }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    std::vector<Type> parts;
    for (const int64_t width : widths_) parts.push_back({inputs[0].dtype, {inputs[0].shape[0], width}});
    return parts;
  }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    return std::make_unique<LinearPartsKernel>(request);
  }
  int64_t product_flops(std::span<const Type> inputs) const override {
    return 2 * inputs[0].shape.elements() * inputs[1].shape[1];
  }
  /// One product for all parts: their gradients are made side by side.
  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var x = arguments.inputs[0], w = arguments.inputs[1];
    std::vector<Var> parts;
    for (size_t i = 0; i < widths_.size(); ++i) {
      const Var& given = arguments.output_gradients[i];
      const Shape& shape = arguments.outputs[i].shape();
      parts.push_back(given.valid() ? given
                                    : x.graph().constant("no_gradient", shape,
                                                         std::vector<double>(static_cast<size_t>(shape.elements()))));
    }
    const Var g = concat(parts, 1);
    std::vector<Var> gradients = {arguments.needed[0] ? matmul(g, w, false, true) : Var(),
                                  arguments.needed[1] ? matmul(x, g, true, false) : Var()};
    if (arguments.inputs.size() == 3)
      gradients.push_back(arguments.needed[2] ? x.graph().apply1(std::make_shared<const ColumnSumOp>(), {g}) : Var());
    return gradients;
  }

 private:
  std::vector<int64_t> widths_;
};

}  // namespace

Var matmul(Var a, Var b, bool transpose_a, bool transpose_b) {
  const Shape &sa = a.shape(), &sb = b.shape();
  const auto is_matrix = [](const Shape& shape) { return shape.rank() == 2 || shape.rank() == 3; };
  LRA_CHECK(is_matrix(sa) && is_matrix(sb) && a.dtype() == b.dtype() &&
                sa[transpose_a ? -2 : -1] == sb[transpose_b ? -1 : -2] &&
                (sa.rank() == 2 || sb.rank() == 2 || sa[0] == sb[0]),
            fmt::format("[matmul] {}{} times {}{}", sa.to_string(), transpose_a ? "^T" : "", sb.to_string(),
                        transpose_b ? "^T" : ""));
  return a.graph().apply1(std::make_shared<const MatmulOp>(Transposition{transpose_a, transpose_b}), {a, b});
}

Var linear(Var x, Var w, Var b) {
  if (!b.valid()) return matmul(x, w);
  LRA_CHECK(
      x.shape().rank() == 2 && w.shape().rank() == 2 && x.shape()[1] == w.shape()[0] &&
          b.shape() == Shape({w.shape()[1]}),
      fmt::format("[linear] {} times {} plus {}", x.shape().to_string(), w.shape().to_string(), b.shape().to_string()));
  return x.graph().apply1(std::make_shared<const LinearOp>(), {x, w, b});
}

std::vector<Var> linear_parts(Var x, Var w, Var b, std::span<const int64_t> widths) {
  const int64_t columns = std::accumulate(widths.begin(), widths.end(), int64_t{0});
  LRA_CHECK(x.shape().rank() == 2 && w.shape().rank() == 2 && x.shape()[1] == w.shape()[0] && w.shape()[1] == columns &&
                (!b.valid() || b.shape() == Shape({columns})),
            fmt::format("[linear_parts] {} times {} in parts of {} columns together", x.shape().to_string(),
                        w.shape().to_string(), columns));
  std::vector<Var> inputs = {x, w};
  if (b.valid()) inputs.push_back(b);
  return x.graph().apply(std::make_shared<const LinearPartsOp>(std::vector(widths.begin(), widths.end())), inputs);
}

}  // namespace lra::engine
