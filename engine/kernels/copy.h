// Copying between strided views of one shape.
#pragma once

#include <memory>

#include "engine/op.h"

namespace lra::engine {

/// outputs[0] = inputs[0], any strides.
std::shared_ptr<const Kernel> copy_kernel(Dtype dtype);

/// outputs[0] += inputs[0], any strides with unit rows.
std::shared_ptr<const Kernel> add_to_kernel(Dtype dtype);

}  // namespace lra::engine
