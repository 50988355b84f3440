// Builds a Plan from a graph: what is needed, where each value lives, which kernels run.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "engine/arena_layout.h"
#include "engine/graph.h"
#include "engine/op.h"
#include "engine/plan.h"

namespace lra::engine {

/// Used once, by Plan's constructor.
class Planner {
 public:
  Planner(const Graph& graph, Plan& plan) : graph_(graph), plan_(plan) {}
  void build();

 private:
  const Value& value(int32_t id) const { return graph_.values()[static_cast<size_t>(id)]; }
  static size_t at(int32_t id) { return static_cast<size_t>(id); }
  static bool is_view(const Node& node) { return dynamic_cast<const ViewOp*>(node.op.get()) != nullptr; }
  static bool is_pack(const Node& node) { return dynamic_cast<const PackOp*>(node.op.get()) != nullptr; }
  const Node& node(int32_t id) const { return graph_.nodes()[static_cast<size_t>(id)]; }
  bool is_plain_result(int32_t id) const;

  // In this order:
  void find_needed();         // nodes that an output or a gradient sink depends on, and who uses each value
  void find_packed();         // values that can be written inside the result of a PackOp
  void find_sunk();           // gradients that their kernel can add to the lane's sums by itself
  void find_in_place_sums();  // additions that the kernel of one operand can do by itself
  void place_values();        // a Place for every value
  void make_steps();          // kernels, copies, scratch
  void find_lives();
  void lay_out_arena();  // pipelines, lifetimes, offsets

  bool is_made_by_rows(int32_t id) const;
  Place place_result(int32_t id);
  Place new_buffer(Dtype dtype, const Shape& shape);
  Place contiguous_copy(const Place& source, int32_t node);
  void add_step(int32_t node, std::shared_ptr<const Kernel> kernel, std::vector<Place> inputs,
                std::vector<Place> outputs, std::shared_ptr<const Kernel> tail_kernel = nullptr);
  void plan_kernel(int32_t id);
  bool plan_row_wise(int32_t id, std::span<const Type> types, const std::vector<Place>& inputs,
                     const std::vector<Place>& outputs, std::span<const bool> accumulate);
  void plan_view(int32_t id);
  void plan_pack(int32_t id);
  void plan_sink(int32_t id);
  void touch(const Place& place, int64_t step);
  int64_t lay_out_those(char own);

  const Graph& graph_;
  Plan& plan_;
  std::vector<char> needed_;                             // by node
  std::vector<std::vector<int32_t>> users_;              // needed nodes that read a value, by value
  std::vector<std::pair<int32_t, size_t>> packed_into_;  // (PackOp node, input number) by value; node -1 if not
  std::vector<char> accumulated_;                        // by value: its kernel adds instead of overwriting
  std::vector<int32_t> shares_;                          // by value: another value whose memory it is; -1 if its own
  std::vector<int32_t> sunk_into_;                       // by value: parameter whose gradient it is added to; -1
  std::vector<char> skipped_;                            // by node: done by another node's kernel
  std::vector<Place> places_;
  std::vector<char> placed_;
  std::vector<BufferLife> buffers_;
  std::vector<char> is_own_;      // by buffer: every member of a team has one
  bool begins_pipeline_ = false;  // of the next step: asked for by a node that makes none itself
};

}  // namespace lra::engine
