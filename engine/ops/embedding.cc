#include "engine/ops/embedding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "engine/errors.h"
#include "engine/op.h"
#include "engine/ops/planes.h"
#include "engine/ops/row_positions.h"

namespace lra::engine {
namespace {

template <class T>
void add_row(const T* x, T* sum, int64_t columns) {
#pragma omp simd
  for (int64_t j = 0; j < columns; ++j) sum[j] += x[j];
}

/// Which input of a look-up the tokens are.
template <bool kPositions>
constexpr size_t kTokensOf = kPositions ? 2 : 1;

/// Zeroes the rows from `first` on.
template <class T>
void clear(const Planes<T>& matrix, int64_t first) {
  for (int64_t i = first; i < matrix.rows; ++i) std::fill_n(matrix.row(0, i), matrix.columns, T{0});
}

/// Inputs table, [positions,] tokens[, places]; output y.
template <class T, bool kPositions>
class LookUpKernel final : public Kernel {
  void run(const KernelArguments& arguments) const override {
    const Planes<const T> table(arguments.inputs.front());
    const Planes<const T> positions(arguments.inputs[kPositions ? 1 : 0]);
    const int32_t* tokens = arguments.inputs[kTokensOf<kPositions>].template as<const int32_t>();
    const RowPositions places = positions_among(arguments, kTokensOf<kPositions> + 1);
    const Planes<T> y(arguments.outputs[0]);
    for (int64_t i = 0; i < y.rows; ++i) {
      T* to = y.row(0, i);
      const bool is_placed = !kPositions || (places[i] >= 0 && places[i] < positions.rows);
      if (is_placed && tokens[i] >= 0 && tokens[i] < table.rows) {
        std::copy_n(table.row(0, tokens[i]), y.columns, to);
        if constexpr (kPositions) add_row(positions.row(0, places[i]), to, y.columns);
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

/// Inputs dy: [n, d][, places]; output dpositions: [rows, d], dy in the first n rows, or in those of the places.
template <class T>
class PositionsKernel final : public Kernel {
 public:
  explicit PositionsKernel(bool accumulate) : accumulate_(accumulate) {}

  void run(const KernelArguments& arguments) const override {
    const Planes<const T> dy(arguments.inputs[0]);
    const RowPositions places = positions_among(arguments, 1);
    const Planes<T> dpositions(arguments.outputs[0]);
    if (!accumulate_ && places.listed != nullptr) clear(dpositions, 0);
    for (int64_t i = 0; i < dy.rows; ++i) {
      if (places[i] < 0 || places[i] >= dpositions.rows) continue;
      if (accumulate_) {
        add_row(dy.row(0, i), dpositions.row(0, places[i]), dy.columns);
      } else {
        std::copy_n(dy.row(0, i), dy.columns, dpositions.row(0, places[i]));
      }
    }
    if (!accumulate_ && places.listed == nullptr) clear(dpositions, arguments.row_begin + dy.rows);
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
    return {{inputs.front().dtype, {inputs[kTokensOf<kPositions>].shape[0], inputs.front().shape[1]}}};
  }
  RowRoles row_roles(std::span<const Type> inputs) const override {
    RowRoles roles = {std::vector(kTokensOf<kPositions>, RowRole::whole), {RowRole::rows}};
    roles.inputs.resize(inputs.size(), RowRole::rows);
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
      gradients[0] = dy.graph().apply1(std::make_shared<const ScatterOp>(vocabulary),
                                       {dy, arguments.inputs[kTokensOf<kPositions>]});
    }
    if (kPositions && arguments.needed[1]) {
      std::vector<Var> placed = {dy};
      placed.insert(placed.end(), arguments.inputs.begin() + kTokensOf<kPositions> + 1, arguments.inputs.end());
      const auto op = std::make_shared<const PositionsOp>(arguments.inputs[1].shape()[0]);
      gradients[1] = dy.graph().apply(op, placed)[0];
    }
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

Var embed(Var table, Var positions, Var tokens, Var places) {
  check_arguments("embed", table, tokens);
  const bool is_covered = places.valid() || positions.shape()[0] >= tokens.shape()[0];
  LRA_CHECK(positions.dtype() == table.dtype() && positions.shape().rank() == 2 && is_covered &&
                positions.shape()[1] == table.shape()[1],
            fmt::format("[embed] positions {} do not cover {} tokens of width {}", positions.shape().to_string(),
                        tokens.shape()[0], table.shape()[1]));
  LRA_CHECK(!places.valid() || (places.dtype() == Dtype::i32 && places.shape() == tokens.shape()),
            fmt::format("[embed] the places are not i32 {}", tokens.shape().to_string()));
  std::vector<Var> inputs = {table, positions, tokens};
  if (places.valid()) inputs.push_back(places);
  return table.graph().apply(std::make_shared<const LookUpOp<true>>(), inputs)[0];
}

}  // namespace lra::engine
