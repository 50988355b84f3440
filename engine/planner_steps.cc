// The second half of the planner: a step for every node, and where everything lies.
#include <algorithm>
#include <memory>

#include "engine/kernels/copy.h"
#include "engine/op.h"
#include "engine/parameters.h"
#include "engine/pipelines.h"
#include "engine/planner.h"

namespace lra::engine {
namespace {

View unbound(const Place& place) { return {.data = nullptr, .dtype = place.dtype, .layout = place.layout}; }

}  // namespace

void Planner::touch(const Place& place, int64_t step) {
  if (place.base != Base::arena) return;
  BufferLife& buffer = buffers_[at(place.index)];
  if (buffer.first < 0) buffer.first = step;
  buffer.last = std::max(buffer.last, step);
}

void Planner::add_step(int32_t node_id, std::shared_ptr<const Kernel> kernel, std::vector<Place> inputs,
                       std::vector<Place> outputs, std::shared_ptr<const Kernel> tail_kernel) {
  Step made{.kernel = std::move(kernel),
            .inputs = std::move(inputs),
            .outputs = std::move(outputs),
            .node = node_id,
            .name = "copy"};
  if (node_id >= 0) made.scope = node(node_id).scope;
  const size_t tail_scratch = tail_kernel ? tail_kernel->scratch_bytes() : 0;
  const auto scratch = static_cast<int64_t>(std::max(made.kernel->scratch_bytes(), tail_scratch));
  made.tail_kernel = std::move(tail_kernel);
  const auto add_scratch = [&](int64_t bytes, char own) -> int64_t {
    if (bytes == 0) return -1;
    buffers_.push_back({.bytes = bytes});
    is_own_.resize(buffers_.size(), 0);
    is_own_.back() = own;
    return static_cast<int64_t>(buffers_.size()) - 1;  // the buffer's number, until laid out
  };
  made.scratch_offset = add_scratch(scratch, 1);
  made.shared_scratch_offset = add_scratch(static_cast<int64_t>(made.kernel->shared_scratch_bytes()), 0);
  plan_.steps_.push_back(std::move(made));
}

Place Planner::contiguous_copy(const Place& source, int32_t node_id) {
  const Place copy = new_buffer(source.dtype, source.layout.shape);
  add_step(node_id, copy_kernel(source.dtype), {source}, {copy});
  return copy;
}

void Planner::plan_view(int32_t id) {
  const Node& view_node = node(id);
  const auto& op = dynamic_cast<const ViewOp&>(*view_node.op);
  Place source = places_[at(view_node.inputs[0])];
  if (!op.view(source.layout, 0)) source = contiguous_copy(source, id);
  for (size_t i = 0; i < view_node.outputs.size(); ++i) {
    Place place = source;
    place.layout = *op.view(source.layout, i);
    places_[at(view_node.outputs[i])] = place;
    placed_[at(view_node.outputs[i])] = 1;
  }
}

void Planner::plan_pack(int32_t id) {
  const Node& pack_node = node(id);
  const Place whole = place_result(pack_node.outputs[0]);
  std::vector<Type> types;
  for (const int32_t input : pack_node.inputs) types.push_back(value(input).type);
  for (size_t i = 0; i < pack_node.inputs.size(); ++i) {
    const int32_t input = pack_node.inputs[i];
    if (packed_into_[at(input)] == std::pair(id, i)) continue;  // already in place
    Place piece = whole;
    piece.layout = dynamic_cast<const PackOp&>(*pack_node.op).piece(whole.layout, types, i);
    add_step(id, copy_kernel(piece.dtype), {places_[at(input)]}, {piece});
  }
}

void Planner::plan_sink(int32_t id) {
  const Node& sink = node(id);
  Place source = places_[at(sink.inputs[0])];
  if (!source.layout.has_unit_rows()) source = contiguous_copy(source, id);
  const Value& target = value(sink.outputs[0]);
  const Place sum{
      .base = Base::gradient,
      .byte_offset = graph_.parameters()[target.parameter].offset * static_cast<int64_t>(bytes_of(target.type.dtype)),
      .dtype = target.type.dtype,
      .layout = Layout::contiguous(target.type.shape)};
  add_step(id, add_to_kernel(target.type.dtype), {source}, {sum});
}

void Planner::plan_kernel(int32_t id) {
  const Node& planned = node(id);
  std::vector<Place> inputs, outputs;
  std::vector<View> input_views, output_views;
  std::vector<Type> types;
  for (const int32_t input : planned.inputs) {
    Place place = places_[at(input)];
    if (!place.layout.has_unit_rows()) place = contiguous_copy(place, id);
    inputs.push_back(place);
    input_views.push_back(unbound(place));
    types.push_back(value(input).type);
  }
  const auto accumulate = std::make_unique<bool[]>(planned.outputs.size());
  for (size_t i = 0; i < planned.outputs.size(); ++i) {
    outputs.push_back(place_result(planned.outputs[i]));
    output_views.push_back(unbound(outputs.back()));
    accumulate[i] = accumulated_[at(planned.outputs[i])] != 0;
  }
  const std::span<const bool> accumulated(accumulate.get(), planned.outputs.size());
  if (!plan_row_wise(id, types, inputs, outputs, accumulated)) {
    std::shared_ptr<const Kernel> kernel = planned.op->kernel(
        {.inputs = input_views, .outputs = output_views, .accumulate = accumulated, .kernels = graph_.kernels()});
    add_step(id, std::move(kernel), std::move(inputs), std::move(outputs));
  }
  Step& step = plan_.steps_.back();
  step.name = planned.op->name();
  step.begins_pipeline = std::exchange(begins_pipeline_, false);
  step.product_flops = planned.op->product_flops(types);
  step.effort = planned.op->effort(types);
  plan_.product_flops_ += step.product_flops;
}

/// Adds the node as a step that runs block by block, when its operation can and there is more than one block.
/// Production kernels only: the plain ones stay the oracle of this, too.
bool Planner::plan_row_wise(int32_t id, std::span<const Type> types, const std::vector<Place>& inputs,
                            const std::vector<Place>& outputs, std::span<const bool> accumulate) {
  const RowRoles roles = graph_.use_fused() ? node(id).op->row_roles(types) : RowRoles{};
  if (roles.outputs.empty()) return false;
  const auto row_axis = [](const Shape& shape) { return shape.rank() >= 2 ? -2 : -1; };
  int64_t rows = 0;
  bool possible = true;
  const auto note_rows = [&](const Place& place, RowRole role) {
    if (role != RowRole::rows) return;
    const int64_t extent = place.layout.shape[row_axis(place.layout.shape)];
    possible = possible && (rows == 0 || rows == extent);
    rows = extent;
  };
  for (size_t i = 0; i < inputs.size(); ++i) note_rows(inputs[i], roles.inputs[i]);
  const auto adds = std::make_unique<bool[]>(outputs.size());
  std::vector<char> zeroed(outputs.size(), 0);
  for (size_t i = 0; i < outputs.size(); ++i) {
    note_rows(outputs[i], roles.outputs[i]);
    adds[i] = accumulate[i];
    // Groups of blocks add up in memory of their own, laid out alike; nobody else clears what blocks own.
    if (roles.outputs[i] == RowRole::owned) possible = possible && accumulate[i];
    if (roles.outputs[i] != RowRole::summed) continue;
    possible = possible && outputs[i].layout.is_contiguous() && (accumulate[i] || node(id).op->accumulates(i));
    adds[i] = true;
    zeroed[i] = accumulate[i] ? 0 : 1;
  }
  if (!possible || rows <= kPipelineRows) return false;

  const auto block_views = [&](const std::vector<Place>& places, const std::vector<RowRole>& place_roles,
                               int64_t block_rows) {
    std::vector<View> views;
    for (size_t i = 0; i < places.size(); ++i) {
      views.push_back(unbound(places[i]));
      Shape& shape = views.back().layout.shape;
      if (place_roles[i] == RowRole::rows) shape.set(row_axis(shape), block_rows);
    }
    return views;
  };
  const auto kernel_for = [&](int64_t block_rows) -> std::shared_ptr<const Kernel> {
    const std::vector<View> input_views = block_views(inputs, roles.inputs, block_rows);
    const std::vector<View> output_views = block_views(outputs, roles.outputs, block_rows);
    return node(id).op->kernel({.inputs = input_views,
                                .outputs = output_views,
                                .accumulate = std::span<const bool>(adds.get(), outputs.size()),
                                .kernels = graph_.kernels()});
  };
  const int64_t tail_rows = rows % kPipelineRows;
  add_step(id, kernel_for(kPipelineRows), inputs, outputs, tail_rows > 0 ? kernel_for(tail_rows) : nullptr);
  plan_.steps_.back().roles = roles;
  plan_.steps_.back().zeroed = std::move(zeroed);
  plan_.steps_.back().rows = rows;
  return true;
}

void Planner::make_steps() {
  bool backward = false;
  for (size_t id = 0; id < graph_.nodes().size(); ++id) {
    begins_pipeline_ = begins_pipeline_ || graph_.nodes()[id].begins_pipeline;
    if (!needed_[id]) continue;
    const auto node_id = static_cast<int32_t>(id);
    const Node& planned = graph_.nodes()[id];
    if (planned.backward && !backward) {
      backward = true;
      plan_.backward_begin_ = plan_.steps_.size();
    }
    if (skipped_[id]) {
      if (value(planned.outputs[0]).kind == ValueKind::result) place_result(planned.outputs[0]);
    } else if (value(planned.outputs[0]).kind == ValueKind::parameter_gradient) {
      plan_sink(node_id);
    } else if (is_view(planned)) {
      plan_view(node_id);
    } else if (is_pack(planned)) {
      plan_pack(node_id);
    } else {
      plan_kernel(node_id);
    }
  }
  if (!backward) plan_.backward_begin_ = plan_.steps_.size();
  for (const Graph::Named& output : graph_.outputs()) {
    Place place = places_[at(output.value)];
    if (!place.layout.is_contiguous()) place = contiguous_copy(place, -1);
    plan_.outputs_.push_back({output.name, place});
  }
}

/// When each buffer is in use: from the first step that touches it to the last.
void Planner::find_lives() {
  for (size_t i = 0; i < plan_.steps_.size(); ++i) {
    const auto at_step = static_cast<int64_t>(i);
    const Step& step = plan_.steps_[i];
    for (const Place& place : step.inputs) touch(place, at_step);
    for (const Place& place : step.outputs) touch(place, at_step);
    for (const int64_t scratch : {step.scratch_offset, step.shared_scratch_offset})
      if (scratch >= 0)
        buffers_[static_cast<size_t>(scratch)].first = buffers_[static_cast<size_t>(scratch)].last = at_step;
  }
  // No copy of one output may overwrite another.
  for (const Plan::Output& output : plan_.outputs_) touch(output.place, static_cast<int64_t>(plan_.steps_.size()));
}

void Planner::lay_out_arena() {
  move_interruptions(plan_.steps_, plan_.backward_begin_);
  find_lives();
  is_own_.resize(buffers_.size(), 0);
  find_pipelines(plan_.steps_, plan_.backward_begin_, buffers_, is_own_);
  plan_.shared_bytes_ = lay_out_those(0);
  plan_.own_bytes_ = lay_out_those(1);
  const auto offset_of = [&](int64_t buffer) {
    return buffer < 0 ? buffer : buffers_[static_cast<size_t>(buffer)].offset;
  };
  const auto settle = [&](Place& place) {
    if (place.base == Base::arena) place.byte_offset += offset_of(place.index);
  };
  for (Step& step : plan_.steps_) {
    for (Place& place : step.inputs) settle(place);
    for (Place& place : step.outputs) settle(place);
    step.scratch_offset = offset_of(step.scratch_offset);
    step.shared_scratch_offset = offset_of(step.shared_scratch_offset);
    for (int64_t& partial : step.partials) partial = offset_of(partial);
    plan_.divisible_ = plan_.divisible_ || (step.rows > 0 ? step.group_rows < step.rows : step.kernel->is_shared());
  }
  for (Plan::Output& output : plan_.outputs_) settle(output.place);
}

/// Offsets for the buffers of either kind. Returns their bytes.
int64_t Planner::lay_out_those(char own) {
  std::vector<BufferLife> kind;
  for (size_t i = 0; i < buffers_.size(); ++i)
    if (is_own_[i] == own) kind.push_back(buffers_[i]);
  const int64_t bytes = lay_out(kind);
  size_t next = 0;
  for (size_t i = 0; i < buffers_.size(); ++i)
    if (is_own_[i] == own) buffers_[i].offset = kind[next++].offset;
  return bytes;
}

}  // namespace lra::engine
