// Evaluation as people see it: with a bar where it takes long enough to wonder.
#pragma once

#include <string>

#include "harness/learner.h"

namespace lra::harness {

/// learner.evaluate(examples); after a second a bar says how far it is. Throws Interrupted after the example during
/// which a signal was noted.
Tally evaluate_with_bar(Learner& learner, const Examples& examples, const std::string& label);

}  // namespace lra::harness
