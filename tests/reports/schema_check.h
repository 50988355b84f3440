// Judges records by the published JSON Schema, with an independent validator.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lra::testing {

/// Empty when `record` is valid, else what is wrong with it.
std::string violations_of_schema(const nlohmann::json& record);

}  // namespace lra::testing
