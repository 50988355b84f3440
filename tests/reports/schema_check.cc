#include "tests/reports/schema_check.h"

#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "reports/record.h"

namespace lra::testing {

std::string violations_of_schema(const nlohmann::json& record) {
  valijson::Schema schema;
  const nlohmann::json schema_json = nlohmann::json::parse(reports::result_schema());
  valijson::SchemaParser(valijson::SchemaParser::kDraft7)
      .populateSchema(valijson::adapters::NlohmannJsonAdapter(schema_json), schema);
  valijson::ValidationResults results;
  valijson::Validator().validate(schema, valijson::adapters::NlohmannJsonAdapter(record), &results);
  std::string text;
  for (valijson::ValidationResults::Error error; results.popError(error);) {
    for (const std::string& part : error.context) text += part;
    text.append(": ").append(error.description).append("\n");
  }
  return text;
}

}  // namespace lra::testing
