#include "engine/op.h"

#include <fmt/format.h>

#include "engine/errors.h"

namespace lra::engine {

std::unique_ptr<Kernel> ViewOp::kernel(const KernelRequest&) const {
  LRA_CHECK(false, fmt::format("[{}] is a window and has no kernel", name()));
  return nullptr;
}

std::unique_ptr<Kernel> PackOp::kernel(const KernelRequest&) const {
  LRA_CHECK(false, fmt::format("[{}] is laid out by the plan and has no kernel", name()));
  return nullptr;
}

}  // namespace lra::engine
