// Profiles as a Chrome trace: a JSON file that chrome://tracing and ui.perfetto.dev show as a time line.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/plan.h"
#include "harness/profile.h"

namespace lra::harness {

class Trace {
 public:
  /// Adds each worker's last run as a thread of a process called `title`: its kernel calls inside a span for the
  /// forward and one for the backward pass. Times count from the first call of the profile.
  void add(const std::string& title, const engine::Plan& plan, const PlanProfile& profile);

  /// {"traceEvents": [...]}: complete events ("X", `ts` and `dur` in microseconds) and names ("M").
  nlohmann::ordered_json json() const;

 private:
  nlohmann::ordered_json events_ = nlohmann::ordered_json::array();
  int processes_ = 0;
};

}  // namespace lra::harness
