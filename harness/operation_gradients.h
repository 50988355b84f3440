// Which operation of a mechanism has a wrong gradient: each one checked by itself.
#pragma once

#include <string>
#include <vector>

#include "harness/attend.h"

namespace lra::harness {

/// Names of the operations in the plain f64 graph of `request` whose gradient (Op::vjp) contradicts central differences
/// of their own values, at random arguments of the shapes that they have there. Each name once, in the graph's order.
/// Operations on integers are passed over.
std::vector<std::string> operations_with_wrong_gradients(const AttendRequest& request);

}  // namespace lra::harness
