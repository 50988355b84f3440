#include "engine/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "engine/errors.h"
#include "engine/op.h"
#include "engine/parameters.h"

namespace lra::engine {
namespace {

/// Planes [h, rows, d] side by side in each row, as heads are in a projection: a block of rows is then one piece of
/// memory, and can live in a buffer of its own. Columns [h, rows, 1] stay vectors.
Layout side_by_side(const Shape& shape) {
  Layout layout = Layout::contiguous(shape);
  if (shape.rank() != 3 || shape[2] == 1) return layout;
  layout.strides[0] = shape[2];
  layout.strides[1] = shape[0] * shape[2];
  return layout;
}

size_t output_number(const Node& node, int32_t value) {
  return static_cast<size_t>(std::find(node.outputs.begin(), node.outputs.end(), value) - node.outputs.begin());
}

template <class T>
AlignedVector<std::byte> rounded(const std::vector<double>& values) {
  AlignedVector<std::byte> bytes(values.size() * sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    const T element = static_cast<T>(values[i]);
    std::memcpy(bytes.data() + i * sizeof(T), &element, sizeof(T));
  }
  return bytes;
}

}  // namespace

void Planner::build() {
  const size_t values = graph_.values().size(), nodes = graph_.nodes().size();
  needed_.assign(nodes, 0);
  skipped_.assign(nodes, 0);
  users_.assign(values, {});
  packed_into_.assign(values, {-1, 0});
  accumulated_.assign(values, 0);
  shares_.assign(values, -1);
  sunk_into_.assign(values, -1);
  places_.assign(values, {});
  placed_.assign(values, 0);
  plan_.dtype_ = graph_.dtype();
  find_needed();
  find_packed();
  find_sunk();
  find_in_place_sums();
  place_values();
  make_steps();
  lay_out_arena();
}

void Planner::find_needed() {
  std::vector<char> wanted(graph_.values().size(), 0);
  for (const Graph::Named& output : graph_.outputs()) wanted[at(output.value)] = 1;
  for (int32_t id = static_cast<int32_t>(graph_.nodes().size()) - 1; id >= 0; --id) {
    for (const int32_t output : node(id).outputs)
      if (wanted[at(output)] || value(output).kind == ValueKind::parameter_gradient) needed_[at(id)] = 1;
    if (!needed_[at(id)]) continue;
    for (const int32_t input : node(id).inputs) wanted[at(input)] = 1;
  }
  for (size_t id = 0; id < graph_.nodes().size(); ++id)
    if (needed_[id])
      for (const int32_t input : graph_.nodes()[id].inputs) users_[at(input)].push_back(static_cast<int32_t>(id));
  // The caller reads an output after the last node: an unseen user keeps it from being overwritten.
  for (const Graph::Named& output : graph_.outputs())
    users_[at(output.value)].push_back(static_cast<int32_t>(graph_.nodes().size()));
}

/// Written by an ordinary kernel into memory of its own.
bool Planner::is_plain_result(int32_t id) const {
  const Value& v = value(id);
  return v.kind == ValueKind::result && !is_view(node(v.producer)) && !is_pack(node(v.producer)) &&
         packed_into_[at(id)].first < 0 && sunk_into_[at(id)] < 0;
}

void Planner::find_packed() {
  for (int32_t id = static_cast<int32_t>(graph_.nodes().size()) - 1; id >= 0; --id) {
    if (!needed_[at(id)] || !is_pack(node(id))) continue;
    for (size_t i = 0; i < node(id).inputs.size(); ++i) {
      const int32_t input = node(id).inputs[i];
      const Value& v = value(input);
      const bool is_output = users_[at(input)].back() == static_cast<int32_t>(graph_.nodes().size());
      if (v.kind != ValueKind::result || is_view(node(v.producer)) || packed_into_[at(input)].first >= 0 || is_output)
        continue;
      packed_into_[at(input)] = {id, i};
    }
  }
}

void Planner::find_sunk() {
  for (size_t id = 0; id < graph_.nodes().size(); ++id) {
    const Node& sink = graph_.nodes()[id];
    if (!needed_[id] || value(sink.outputs[0]).kind != ValueKind::parameter_gradient) continue;
    const int32_t gradient = sink.inputs[0];
    if (!is_plain_result(gradient) || users_[at(gradient)].size() != 1) continue;
    const Node& producer = node(value(gradient).producer);
    if (!producer.op->accumulates(output_number(producer, gradient))) continue;
    sunk_into_[at(gradient)] = value(sink.outputs[0]).parameter;
    accumulated_[at(gradient)] = 1;
    skipped_[id] = 1;
  }
}

void Planner::find_in_place_sums() {
  for (size_t id = 0; id < graph_.nodes().size(); ++id) {
    const Node& sum = graph_.nodes()[id];
    if (!needed_[id] || sum.op->name() != "add") continue;
    const int32_t out = sum.outputs[0];
    if (!is_plain_result(out)) continue;
    for (const auto& [kept, added] :
         {std::pair(sum.inputs[0], sum.inputs[1]), std::pair(sum.inputs[1], sum.inputs[0])}) {
      if (kept == added || !is_plain_result(kept) || !is_plain_result(added) || shares_[at(added)] >= 0 ||
          !(value(kept).type == value(out).type) || !(value(added).type == value(out).type))
        continue;
      const int32_t adder = value(added).producer;
      const Node& producer = node(adder);
      if (!producer.op->accumulates(output_number(producer, added)) || users_[at(added)].size() != 1) continue;
      // From the moment the adder runs, the memory of `kept` holds the sum: nobody may read the old content then.
      const bool safe =
          value(kept).producer < adder &&
          std::all_of(users_[at(kept)].begin(), users_[at(kept)].end(), [&](int32_t user) {
            return user == static_cast<int32_t>(id) || (user < adder && !is_view(node(user)) && !is_pack(node(user)));
          });
      if (!safe) continue;
      shares_[at(added)] = kept;
      shares_[at(out)] = kept;
      accumulated_[at(added)] = 1;
      skipped_[id] = 1;
      break;
    }
  }
}

Place Planner::new_buffer(Dtype dtype, const Shape& shape) {
  buffers_.push_back({.bytes = shape.elements() * static_cast<int64_t>(bytes_of(dtype))});
  return {.base = Base::arena,
          .index = static_cast<int32_t>(buffers_.size()) - 1,
          .dtype = dtype,
          .layout = Layout::contiguous(shape)};
}

/// Whether the value is what a row-wise operation makes of its rows.
bool Planner::is_made_by_rows(int32_t id) const {
  if (!graph_.use_fused()) return false;
  const Node& producer = node(value(id).producer);
  std::vector<Type> types;
  for (const int32_t input : producer.inputs) types.push_back(value(input).type);
  const RowRoles roles = producer.op->row_roles(types);
  return !roles.outputs.empty() && roles.outputs[output_number(producer, id)] == RowRole::rows;
}

void Planner::place_values() {
  for (size_t id = 0; id < graph_.values().size(); ++id) {
    const Value& v = graph_.values()[id];
    Place place{.dtype = v.type.dtype, .layout = Layout::contiguous(v.type.shape)};
    if (v.kind == ValueKind::input) {
      place.base = Base::input;
      const auto& inputs = graph_.inputs();
      place.index = static_cast<int32_t>(
          std::find_if(inputs.begin(), inputs.end(), [&](const auto& input) { return at(input.value) == id; }) -
          inputs.begin());
    } else if (v.kind == ValueKind::parameter) {
      place.base = Base::parameter;
      place.byte_offset = graph_.parameters()[v.parameter].offset * static_cast<int64_t>(bytes_of(v.type.dtype));
    } else if (v.kind == ValueKind::constant) {
      if (users_[id].empty()) continue;
      place.base = Base::constant;
      place.index = static_cast<int32_t>(plan_.constants_.size());
      plan_.constants_.push_back(v.type.dtype == Dtype::f64 ? rounded<double>(v.constants)
                                                            : rounded<float>(v.constants));
      plan_.constant_bytes_ += static_cast<int64_t>(plan_.constants_.back().size());
    } else {
      continue;  // results are placed with their nodes
    }
    places_[id] = place;
    placed_[id] = 1;
  }
}

Place Planner::place_result(int32_t id) {
  if (placed_[at(id)]) return places_[at(id)];
  const Value& v = value(id);
  Place place{.dtype = v.type.dtype};
  if (sunk_into_[at(id)] >= 0) {
    place.base = Base::gradient;
    place.byte_offset = graph_.parameters()[sunk_into_[at(id)]].offset * static_cast<int64_t>(bytes_of(v.type.dtype));
    place.layout = Layout::contiguous(v.type.shape);
  } else if (shares_[at(id)] >= 0) {
    place = place_result(shares_[at(id)]);
  } else if (packed_into_[at(id)].first >= 0) {
    const auto [pack, input] = packed_into_[at(id)];
    place = place_result(node(pack).outputs[0]);
    std::vector<Type> types;
    for (const int32_t other : node(pack).inputs) types.push_back(value(other).type);
    place.layout = dynamic_cast<const PackOp&>(*node(pack).op).piece(place.layout, types, input);
  } else {
    place = new_buffer(v.type.dtype, v.type.shape);
    if (is_made_by_rows(id)) place.layout = side_by_side(v.type.shape);
  }
  places_[at(id)] = place;
  placed_[at(id)] = 1;
  return place;
}

}  // namespace lra::engine
