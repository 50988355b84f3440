// The learned numbers of a model: names, shapes, initial values, and their places in one flat array.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/random.h"
#include "engine/tensor.h"

namespace lra::engine {

/// Fills a parameter from its own stream, row-major.
using Initializer = std::function<void(Stream& stream, std::span<double> values)>;

Initializer init_constant(double value);
Initializer init_normal(double standard_deviation);
/// Uniform in ±sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010).
Initializer init_xavier_uniform(int64_t fan_in, int64_t fan_out);
/// Uniform in ±1/sqrt(fan_in): what PyTorch's Linear does to weights and biases alike.
Initializer init_torch_linear(int64_t fan_in);

struct Parameter {
  std::string name;  // unique, dotted: "encoder.layers.0.ffn.in.weight"
  Shape shape;
  int64_t offset = 0;  // of its first element in the flat array
  Initializer initializer;
};

/// An ordered set of parameters. Declaring a known name returns the known one, so that every graph of a model shares
/// it.
class Parameters {
 public:
  /// Throws std::logic_error when the name is known with another shape.
  int32_t declare(const std::string& name, const Shape& shape, const Initializer& initializer);

  const Parameter& operator[](int32_t index) const { return list_[static_cast<size_t>(index)]; }
  int32_t count() const { return static_cast<int32_t>(list_.size()); }
  std::span<const Parameter> list() const { return list_; }
  /// Elements of the flat array: each parameter starts at a multiple of 16, and the gaps stay zero.
  int64_t flat_elements() const { return flat_elements_; }
  /// Learned numbers, gaps excluded.
  int64_t learned_elements() const;
  /// Initial values, each parameter from the stream (seed, init, its name): independent of order and of others.
  template <class T>
  void initialize(uint64_t seed, std::span<T> flat) const;

 private:
  std::vector<Parameter> list_;
  std::unordered_map<std::string, int32_t> index_;
  int64_t flat_elements_ = 0;
};

}  // namespace lra::engine
