// What the code of a plug-in throws, turned into errors that say whose it is.
#pragma once

#include <memory>
#include <string>

#include "attention/attention.h"

namespace lra::attention {

/// `mechanism`, of the plug-in `origin` (a file name), behind the same interface: its facts are asked for once, here;
/// what it throws that is no lra::Error becomes UsageError with its name, and so does a result of another shape than
/// the arguments'. Throws UsageError when it is neither an Attention nor a Mixer, and what facts() throws.
std::unique_ptr<const Mechanism> guard_plugin(std::unique_ptr<const Mechanism> mechanism, const std::string& origin);

/// The plug-in that a registered mechanism comes from; empty for those of the program.
std::string plugin_of(const Mechanism& mechanism);

/// To be called in a handler: throws the exception that is being handled, as it is for mechanisms of the program.
/// Where the mechanism is from a plug-in, errors of the program's own kinds stay as they are and all others become
/// UsageError with its name: what planning runs of it are gradients (Op::vjp), types and kernels.
[[noreturn]] void rethrow_from_planning(const Mechanism& mechanism);
/// The same for kernels that run: RunError; errors of data, memory and disk, and interruptions, stay as they are.
[[noreturn]] void rethrow_from_running(const Mechanism& mechanism);

/// `body()` where graphs with this mechanism are built and planned.
template <class F>
auto while_planning(const Mechanism& mechanism, F&& body) {
  try {
    return body();
  } catch (...) {
    rethrow_from_planning(mechanism);
  }
}

/// `body()` where plans with this mechanism run. Does not allocate.
template <class F>
auto while_running(const Mechanism& mechanism, F&& body) {
  try {
    return body();
  } catch (...) {
    rethrow_from_running(mechanism);
  }
}

}  // namespace lra::attention
