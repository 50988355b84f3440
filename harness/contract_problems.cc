// The problems that the contract is checked on.
#include <algorithm>

#include "attention/registry.h"
#include "engine/random.h"
#include "harness/contract.h"
#include "harness/contract_rows.h"

namespace lra::harness {
namespace {

std::vector<double> random_values(engine::Stream& stream, int64_t count) {
  std::vector<double> values(static_cast<size_t>(count));
  // Rounded to f32, so that f32 and f64 kernels get the same numbers; kept away from the kink of ReLU at 0.
  for (double& value : values) {
    const double normal = stream.normal();
    value = static_cast<double>(static_cast<float>(normal + (normal < 0 ? -0.01 : 0.01)));
  }
  return values;
}

}  // namespace

AttendRequest random_request(const std::string& attention, int64_t n, int64_t real, uint64_t seed,
                             int64_t nominal_length) {
  engine::Stream stream(seed, engine::Purpose::data, "contract");
  const std::vector<std::string> names = attention::argument_names(attention::find(attention));
  const bool mixer = names.front() == "x";
  const engine::Shape shape = mixer ? engine::Shape{n, kContractHeads * kContractHeadWidth}
                                    : engine::Shape{kContractHeads, n, kContractHeadWidth};
  const int64_t nominal = nominal_length > 0 ? nominal_length : n;
  AttendRequest request{.attention = attention,
                        .parameters = attention::fitting_parameters(attention::find(attention).facts(), nominal, n),
                        .nominal_length = nominal_length,
                        .seed = seed};
  for (size_t i = 0; i < names.size(); ++i)
    request.arguments.push_back({.shape = shape, .values = random_values(stream, shape.elements())});
  request.mask.assign(static_cast<size_t>(n), 0.0);
  std::fill_n(request.mask.begin(), real, 1.0);
  request.output_gradient = random_values(stream, shape.elements());
  // Nothing flows back from pads: the harness masks them before pooling.
  for (size_t i = 0; i < request.output_gradient.size(); ++i)
    if (row_of_element(shape, i) >= real) request.output_gradient[i] = 0;
  return request;
}

std::vector<attention::ParameterValues> variants(const attention::Facts& facts) {
  std::vector<attention::ParameterValues> all;
  for (const attention::ParameterSpec& spec : facts.parameters) {
    if (const bool* flag = std::get_if<bool>(&spec.default_value)) all.push_back({{spec.name, !*flag}});
    for (const std::string& choice : spec.choices)
      if (choice != std::get<std::string>(spec.default_value)) all.push_back({{spec.name, choice}});
  }
  return all;
}

}  // namespace lra::harness
