#include "engine/op.h"

#include <fmt/format.h>

#include "engine/errors.h"

namespace lra::engine {

RowRoles elementwise_roles(std::span<const Type> inputs, const Shape& output) {
  if (output.rank() == 0) return {};
  const int row_axis = output.rank() >= 2 ? -2 : -1;
  RowRoles roles = {{}, {RowRole::rows}};
  for (const Type& input : inputs) {
    const bool has_rows = input.shape.rank() >= -row_axis && input.shape[row_axis] == output[row_axis];
    // A vector beside a matrix lies along its columns: the row axis of the plan would be another one.
    roles.inputs.push_back(has_rows && (row_axis == -1) == (input.shape.rank() == 1) ? RowRole::rows : RowRole::whole);
  }
  return roles;
}

std::unique_ptr<Kernel> ViewOp::kernel(const KernelRequest&) const {
  LRA_CHECK(false, fmt::format("[{}] is a window and has no kernel", name()));
  return nullptr;
}

std::unique_ptr<Kernel> PackOp::kernel(const KernelRequest&) const {
  LRA_CHECK(false, fmt::format("[{}] is laid out by the plan and has no kernel", name()));
  return nullptr;
}

}  // namespace lra::engine
