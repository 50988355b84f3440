#include "engine/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/errors.h"

namespace lra::engine {
namespace {

constexpr int64_t kAlignElements = 16;  // one cache line of f32

Initializer init_uniform(double bound) {
  return [bound](Stream& stream, std::span<double> values) {
    for (double& value : values) value = bound * (2 * stream.uniform() - 1);
  };
}

}  // namespace

Initializer init_constant(double value) {
  return [value](Stream&, std::span<double> values) { std::fill(values.begin(), values.end(), value); };
}

Initializer init_normal(double standard_deviation) {
  return [standard_deviation](Stream& stream, std::span<double> values) {
    for (double& value : values) value = standard_deviation * stream.normal();
  };
}

Initializer init_xavier_uniform(int64_t fan_in, int64_t fan_out) {
  return init_uniform(std::sqrt(6.0 / static_cast<double>(fan_in + fan_out)));
}

Initializer init_torch_linear(int64_t fan_in) { return init_uniform(1.0 / std::sqrt(static_cast<double>(fan_in))); }

int32_t Parameters::declare(const std::string& name, const Shape& shape, const Initializer& initializer) {
  if (const auto known = index_.find(name); known != index_.end()) {
    const Parameter& parameter = (*this)[known->second];
    LRA_CHECK(parameter.shape == shape, fmt::format("parameter {} is {} and was declared again as {}", name,
                                                    parameter.shape.to_string(), shape.to_string()));
    return known->second;
  }
  const int32_t index = count();
  list_.push_back({name, shape, flat_elements_, initializer});
  index_.emplace(name, index);
  flat_elements_ += (shape.elements() + kAlignElements - 1) / kAlignElements * kAlignElements;
  return index;
}

int64_t Parameters::learned_elements() const {
  int64_t sum = 0;
  for (const Parameter& parameter : list_) sum += parameter.shape.elements();
  return sum;
}

template <class T>
void Parameters::initialize(uint64_t seed, std::span<T> flat) const {
  LRA_CHECK(static_cast<int64_t>(flat.size()) == flat_elements_, "flat array of another size");
  std::fill(flat.begin(), flat.end(), T{0});
  std::vector<double> values;
  for (const Parameter& parameter : list_) {
    values.assign(static_cast<size_t>(parameter.shape.elements()), 0.0);
    Stream stream(seed, Purpose::init, parameter.name);
    parameter.initializer(stream, values);
    std::transform(values.begin(), values.end(), flat.begin() + parameter.offset,
                   [](double value) { return static_cast<T>(value); });
  }
}

template void Parameters::initialize<float>(uint64_t, std::span<float>) const;
template void Parameters::initialize<double>(uint64_t, std::span<double>) const;

}  // namespace lra::engine
