#include "engine/plan.h"

#include <fmt/format.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "engine/errors.h"
#include "engine/kernels/arrays.h"
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
      base = place.block_local ? own(bindings) : bindings.arena;
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

namespace {

/// The window on `rows` rows from `begin` on.
View rows_of(View view, int64_t begin, int64_t rows) {
  const int axis = view.shape().rank() >= 2 ? -2 : -1;
  view.data =
      static_cast<std::byte*>(view.data) + begin * view.stride(axis) * static_cast<int64_t>(bytes_of(view.dtype));
  view.layout.shape.set(axis, rows);
  return view;
}

}  // namespace

std::byte* Plan::own(const Bindings& bindings) const {
  return bindings.own != nullptr ? bindings.own : bindings.arena + shared_bytes_;
}

/// Block by block, all steps on a block before the next: sums over rows add up in the order of the blocks.
template <class Call>
void Plan::run_group(const Bindings& bindings, size_t begin, size_t end, int64_t group, Call&& call) const {
  std::array<View, kMaxArguments> inputs, outputs;
  const int64_t first_row = group * steps_[begin].group_rows;
  const int64_t end_row = std::min(steps_[begin].rows, first_row + steps_[begin].group_rows);
  for (int64_t row = first_row; row < end_row; row += kPipelineRows) {
    const int64_t rows = std::min(kPipelineRows, end_row - row);
    for (size_t i = begin; i < end; ++i) {
      const Step& step = steps_[i];
      const auto window = [&](const Place& place, RowRole role) {
        const View view = resolve(place, bindings);
        return role == RowRole::rows ? rows_of(view, place.block_local ? 0 : row, rows) : view;
      };
      for (size_t j = 0; j < step.inputs.size(); ++j) inputs[j] = window(step.inputs[j], step.roles.inputs[j]);
      for (size_t j = 0; j < step.outputs.size(); ++j) {
        outputs[j] = window(step.outputs[j], step.roles.outputs[j]);
        const bool partial = group > 0 && step.roles.outputs[j] == RowRole::summed;
        if (partial) outputs[j].data = own(bindings) + step.partials[j];
        if (row == first_row && (partial || step.zeroed[j] != 0))
          std::memset(outputs[j].data, 0,
                      static_cast<size_t>(outputs[j].shape().elements()) * bytes_of(outputs[j].dtype));
      }
      const Kernel& kernel = rows == kPipelineRows ? *step.kernel : *step.tail_kernel;
      call(i, kernel,
           {.inputs = std::span(inputs.data(), step.inputs.size()),
            .outputs = std::span(outputs.data(), step.outputs.size()),
            .scratch = step.scratch_offset < 0 ? nullptr : own(bindings) + step.scratch_offset,
            .keys = bindings.keys,
            .row_begin = row});
    }
  }
}

/// Adds what a group has added up to the sums. Row-wise steps are f32.
void Plan::add_partials(const Bindings& bindings, size_t begin, size_t end) const {
  for (size_t i = begin; i < end; ++i) {
    const Step& step = steps_[i];
    for (size_t j = 0; j < step.outputs.size(); ++j) {
      if (step.roles.outputs[j] != RowRole::summed) continue;
      const View sum = resolve(step.outputs[j], bindings);
      const auto* partial = reinterpret_cast<const float*>(own(bindings) + step.partials[j]);
      add_to(partial, sum.as<float>(), sum.shape().elements());
    }
  }
}

/// Groups in turn; each is added when the one before it has been.
template <class Call>
void Plan::run_pipeline(const Bindings& bindings, size_t begin, size_t end, Call&& call) const {
  const Member& member = bindings.member;
  const int64_t groups = (steps_[begin].rows + steps_[begin].group_rows - 1) / steps_[begin].group_rows;
  for (int64_t group = member.index; group < groups; group += member.count) {
    run_group(bindings, begin, end, group, call);
    if (group > 0) {
      member.wait_for(static_cast<int>((group - 1) % member.count), (group - 1) / member.count + 1);
      add_partials(bindings, begin, end);
    }
    member.report(group / member.count + 1);
  }
}

/// Calls `call(step, kernel, arguments)` for every kernel call of the steps begin <= i < end, in their order.
template <class Call>
void Plan::run_steps(const Bindings& bindings, size_t begin, size_t end, Call&& call) const {
  std::array<View, kMaxArguments> inputs, outputs;
  const Member& member = bindings.member;
  for (size_t i = begin; i < end; ++i) {
    const Step& step = steps_[i];
    if (step.rows > 0) {
      const size_t pipeline_end = std::min(step.pipeline_end, end);
      run_pipeline(bindings, i, pipeline_end, call);
      i = pipeline_end - 1;
    } else if (member.index == 0 || step.kernel->is_shared()) {
      for (size_t j = 0; j < step.inputs.size(); ++j) inputs[j] = resolve(step.inputs[j], bindings);
      for (size_t j = 0; j < step.outputs.size(); ++j) outputs[j] = resolve(step.outputs[j], bindings);
      call(i, *step.kernel,
           {.inputs = std::span(inputs.data(), step.inputs.size()),
            .outputs = std::span(outputs.data(), step.outputs.size()),
            .scratch = step.scratch_offset < 0 ? nullptr : own(bindings) + step.scratch_offset,
            .keys = bindings.keys,
            .shared_scratch = step.shared_scratch_offset < 0 ? nullptr : bindings.arena + step.shared_scratch_offset,
            .member = step.kernel->is_shared() ? member : Member{}});
    }
    member.meet();
  }
}

void Plan::run(const Bindings& bindings, size_t begin, size_t end) const {
  LRA_CHECK(bindings.member.count == 1 || bindings.own != nullptr, "members of a team need memory of their own");
  run_steps(bindings, begin, end,
            [](size_t, const Kernel& kernel, const KernelArguments& arguments) { kernel.run(arguments); });
}

void Plan::run_profiled(const Bindings& bindings, size_t begin, size_t end, CallObserver& observer) const {
  run_steps(bindings, begin, end, [&](size_t step, const Kernel& kernel, const KernelArguments& arguments) {
    const CallObserver::Clock::time_point start = CallObserver::Clock::now();
    kernel.run(arguments);
    observer.called(step, arguments.row_begin, start, CallObserver::Clock::now());
  });
}

View Plan::output(const std::string& name, const Bindings& bindings) const {
  for (const Output& output : outputs_)
    if (output.name == name) return resolve(output.place, bindings);
  LRA_CHECK(false, fmt::format("the plan has no output `{}`", name));
  return {};
}

Arena::Arena(int64_t bytes) : bytes_(bytes) {
  // Large arenas take huge pages: streaming through them costs a step several percent in address translation otherwise.
  constexpr size_t kLine = 64, kHugePage = size_t{2} << 20;
  const size_t alignment = static_cast<size_t>(bytes) >= kHugePage ? kHugePage : kLine;
  const size_t rounded = std::max((static_cast<size_t>(bytes) + alignment - 1) / alignment * alignment, alignment);
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, rounded)));
  if (!data_)
    throw ResourceError(fmt::format("[arena] cannot allocate {} bytes", bytes),
                        "lower --length, train.batch_size or --threads");
#if defined(__linux__)
  if (alignment == kHugePage) madvise(data_.get(), rounded, MADV_HUGEPAGE);  // advice: failing costs speed only
#endif
}

void Arena::Free::operator()(std::byte* data) const { std::free(data); }

void Arena::poison() { std::memset(data_.get(), 0xff, static_cast<size_t>(bytes_)); }

}  // namespace lra::engine
