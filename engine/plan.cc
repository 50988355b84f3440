#include "engine/plan.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "engine/errors.h"
#include "engine/planner.h"

namespace lra::engine {
namespace {

constexpr size_t kMaxArguments = 16;  // of one kernel: the views of a call live on the stack

}  // namespace

Plan::Plan(const Graph& graph) {
  Planner(graph, *this).build();
  for (const Step& step : steps_)
    LRA_CHECK(step.inputs.size() <= kMaxArguments && step.outputs.size() <= kMaxArguments,
              "a kernel with more than 16 arguments");
}

View Plan::resolve(const Place& place, const Bindings& bindings) const {
  std::byte* base = nullptr;
  switch (place.base) {
    case Base::arena:
      base = bindings.arena;
      break;
    case Base::input:
      base = static_cast<std::byte*>(bindings.inputs[static_cast<size_t>(place.index)]);
      break;
    case Base::parameter:
      base = static_cast<std::byte*>(bindings.parameters);
      break;
    case Base::constant:
      base = const_cast<std::byte*>(constants_[static_cast<size_t>(place.index)].data());
      break;
    case Base::gradient:
      base = static_cast<std::byte*>(bindings.gradients);
      break;
  }
  base += place.byte_offset + place.layout.offset * static_cast<int64_t>(bytes_of(place.dtype));
  return {.data = base, .dtype = place.dtype, .layout = place.layout};
}

void Plan::run(const Bindings& bindings, size_t begin, size_t end) const {
  std::array<View, kMaxArguments> inputs, outputs;
  for (size_t i = begin; i < end; ++i) {
    const Step& step = steps_[i];
    for (size_t j = 0; j < step.inputs.size(); ++j) inputs[j] = resolve(step.inputs[j], bindings);
    for (size_t j = 0; j < step.outputs.size(); ++j) outputs[j] = resolve(step.outputs[j], bindings);
    step.kernel->run({.inputs = std::span(inputs.data(), step.inputs.size()),
                      .outputs = std::span(outputs.data(), step.outputs.size()),
                      .scratch = step.scratch_offset < 0 ? nullptr : bindings.arena + step.scratch_offset,
                      .keys = bindings.keys});
  }
}

View Plan::output(const std::string& name, const Bindings& bindings) const {
  for (const Output& output : outputs_)
    if (output.name == name) return resolve(output.place, bindings);
  LRA_CHECK(false, fmt::format("the plan has no output `{}`", name));
  return {};
}

Arena::Arena(int64_t bytes) : bytes_(bytes) {
  constexpr size_t kAlignment = 64;
  const size_t rounded = (static_cast<size_t>(bytes) + kAlignment - 1) / kAlignment * kAlignment;
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, std::max(rounded, kAlignment))));
  if (!data_)
    throw ResourceError(fmt::format("[arena] cannot allocate {} bytes", bytes),
                        "lower --length, train.batch_size or --threads");
}

void Arena::Free::operator()(std::byte* data) const { std::free(data); }

void Arena::poison() { std::memset(data_.get(), 0xff, static_cast<size_t>(bytes_)); }

}  // namespace lra::engine
