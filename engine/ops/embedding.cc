#include "engine/ops/embedding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "engine/errors.h"
#include "engine/op.h"
#include "engine/ops/planes.h"

namespace lra::engine {
namespace {

template <class T>
void add_row(const T* x, T* sum, int64_t columns) {
#pragma omp simd
  for (int64_t j = 0; j < columns; ++j) sum[j] += x[j];
}

/// Zeroes the rows from `first` on.
template <class T>
void clear(const Planes<T>& matrix, int64_t first) {
  for (int64_t i = first; i < matrix.rows; ++i) std::fill_n(matrix.row(0, i), matrix.columns, T{0});
}

/// Inputs table, [positions,] tokens; output y.
template <class T, bool kPositions>
class LookUpKernel final : public Kernel {
  void run(const KernelArguments& arguments) const override {
    const Planes<const T> table(arguments.inputs.front());
    const Planes<const T> positions(arguments.inputs[kPositions ? 1 : 0]);
    const int32_t* tokens = arguments.inputs.back().as<const int32_t>();
    const Planes<T> y(arguments.outputs[0]);
    for (int64_t i = 0; i < y.rows; ++i) {
      T* to = y.row(0, i);
      if (tokens[i] >= 0 && tokens[i] < table.rows) {
        std::copy_n(table.row(0, tokens[i]), y.columns, to);
        if constexpr (kPositions) add_row(positions.row(0, arguments.row_begin + i), to, y.columns);
      } else {
        std::fill_n(to, y.columns, std::numeric_limits<T>::quiet_NaN());
      }
    }
  }
};

/// Inputs dy: [n, d], tokens; output dtable, the sum of the rows of dy by token, in the order of the tokens.
template <class T>
class ScatterKernel final : public Kernel {
 public:
  explicit ScatterKernel(bool accumulate) : accumulate_(accumulate) {}

  void run(const KernelArguments& arguments) const override {
    const Planes<const T> dy(arguments.inputs[0]);
    const int32_t* tokens = arguments.inputs[1].as<const int32_t>();
    const Planes<T> dtable(arguments.outputs[0]);
    if (!accumulate_) clear(dtable, 0);
    for (int64_t i = 0; i < dy.rows; ++i)
      if (tokens[i] >= 0 && tokens[i] < dtable.rows) add_row(dy.row(0, i), dtable.row(0, tokens[i]), dy.columns);
  }

 private:
  bool accumulate_;
};

/// Input dy: [n, d]; output dpositions: [rows, d], dy in the first n rows.
template <class T>
class PositionsKernel final : public Kernel {
 public:
  explicit PositionsKernel(bool accumulate) : accumulate_(accumulate) {}

  void run(const KernelArguments& arguments) const override {
    const Planes<const T> dy(arguments.inputs[0]);
    const Planes<T> dpositions(arguments.outputs[0]);
    for (int64_t i = 0; i < dy.rows; ++i) {
      if (accumulate_) {
        add_row(dy.row(0, i), dpositions.row(0, arguments.row_begin + i), dy.columns);
      } else {
        std::copy_n(dy.row(0, i), dy.columns, dpositions.row(0, arguments.row_begin + i));
      }
    }
    if (!accumulate_) clear(dpositions, arguments.row_begin + dy.rows);
  }

 private:
  bool accumulate_;
};

/// Base of the two gradients: sums into a table of `rows` rows.
class TableGradientOp : public Op {
 public:
  TableGradientOp(int64_t rows, RowRole role) : rows_(rows), role_(role) {}
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    return {{inputs[0].dtype, {rows_, inputs[0].shape[1]}}};
  }
  bool accumulates(size_t) const override { return true; }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    return {std::vector(inputs.size(), RowRole::rows), {role_}};
  }
  std::vector<Var> vjp(const VjpArguments&) const override {
    LRA_CHECK(false, "the gradients of an embedding have none of their own");
    return {};
  }

 private:
  int64_t rows_;
  RowRole role_;
};

class ScatterOp final : public TableGradientOp {
 public:
  explicit ScatterOp(int64_t rows) : TableGradientOp(rows, RowRole::summed) {}
  std::string_view name() const override { return "embedding_backward"; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<ScatterKernel<double>>(request.accumulate[0]);
    return std::make_unique<ScatterKernel<float>>(request.accumulate[0]);
  }
};

class PositionsOp final : public TableGradientOp {
 public:
  explicit PositionsOp(int64_t rows) : TableGradientOp(rows, RowRole::owned) {}
  std::string_view name() const override { return "positions_backward"; }
  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<PositionsKernel<double>>(request.accumulate[0]);
    return std::make_unique<PositionsKernel<float>>(request.accumulate[0]);
  }
};

template <bool kPositions>
class LookUpOp final : public Op {
 public:
  std::string_view name() const override { return kPositions ? "embed" : "embedding"; }
  std::vector<Type> infer(std::span<const Type> inputs) const override {
    return {{inputs.front().dtype, {inputs.back().shape[0], inputs.front().shape[1]}}};
  }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    RowRoles roles = {std::vector(inputs.size(), RowRole::whole), {RowRole::rows}};
    roles.inputs.back() = RowRole::rows;
    return roles;
  }

  std::unique_ptr<Kernel> kernel(const KernelRequest& request) const override {
    if (request.inputs[0].dtype == Dtype::f64) return std::make_unique<LookUpKernel<double, kPositions>>();
    return std::make_unique<LookUpKernel<float, kPositions>>();
  }

  std::vector<Var> vjp(const VjpArguments& arguments) const override {
    const Var dy = arguments.output_gradients[0];
    std::vector<Var> gradients(arguments.inputs.size());
    if (arguments.needed[0]) {
      const int64_t vocabulary = arguments.inputs[0].shape()[0];
      gradients[0] = dy.graph().apply1(std::make_shared<const ScatterOp>(vocabulary), {dy, arguments.inputs.back()});
    }
    if (kPositions && arguments.needed[1])
      gradients[1] = dy.graph().apply1(std::make_shared<const PositionsOp>(arguments.inputs[1].shape()[0]), {dy});
    return gradients;
  }
};

void check_arguments(std::string_view op, Var table, Var tokens) {
  LRA_CHECK(table.dtype() != Dtype::i32 && table.shape().rank() == 2,
            fmt::format("[{}] the table is {}, not [vocabulary, d]", op, table.shape().to_string()));
  LRA_CHECK(
      tokens.dtype() == Dtype::i32 && tokens.shape().rank() == 1,
      fmt::format("[{}] the tokens are {} {}, not i32 [n]", op, to_string(tokens.dtype()), tokens.shape().to_string()));
}

}  // namespace

Var embedding(Var table, Var tokens) {
  check_arguments("embedding", table, tokens);
  return table.graph().apply1(std::make_shared<const LookUpOp<false>>(), {table, tokens});
}

Var embed(Var table, Var positions, Var tokens) {
  check_arguments("embed", table, tokens);
  LRA_CHECK(positions.dtype() == table.dtype() && positions.shape().rank() == 2 &&
                positions.shape()[0] >= tokens.shape()[0] && positions.shape()[1] == table.shape()[1],
            fmt::format("[embed] positions {} do not cover {} tokens of width {}", positions.shape().to_string(),
                        tokens.shape()[0], table.shape()[1]));
  return table.graph().apply1(std::make_shared<const LookUpOp<true>>(), {table, positions, tokens});
}

}  // namespace lra::engine
