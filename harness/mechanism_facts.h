// What a mechanism states about itself: as JSON with every fact, as text, as Markdown for its page.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "attention/attention.h"

namespace lra::harness {

/// Every field of attention::Facts, the kind of mechanism, and its model FLOPs at the sizes of the preset `small`
/// (n = 1,024 and 4,096, default parameters). What does not apply is null.
nlohmann::ordered_json facts_json(const attention::Mechanism& mechanism);

/// The same as rows of "label  value", `width` columns wide.
std::string facts_text(const attention::Mechanism& mechanism, int width);

/// The same as Markdown tables: the generated part of the mechanism's page.
std::string facts_markdown(const attention::Mechanism& mechanism);

/// A Markdown table of all mechanisms that links their pages.
std::string mechanisms_markdown();

}  // namespace lra::harness
