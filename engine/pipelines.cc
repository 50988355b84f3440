#include "engine/pipelines.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace lra::engine {
namespace {

/// What the steps of one pipeline have touched so far: decides whether another step may join.
class PipelineHazards {
 public:
  bool admits(const Step& step) const {
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      const Place& place = step.inputs[i];
      if (place.base != Base::arena) continue;
      const auto written = written_.find(place.index);
      if (written == written_.end()) continue;
      if (step.roles.inputs[i] != RowRole::rows || written->second != alignment_of(place)) return false;
    }
    for (size_t i = 0; i < step.outputs.size(); ++i) {
      const Place& place = step.outputs[i];
      if (place.base != Base::arena) continue;
      if (read_whole_.contains(place.index)) return false;
      if (step.roles.outputs[i] == RowRole::rows) {
        if (differs(read_rows_, place) || differs(written_, place)) return false;
      } else if (written_.contains(place.index) || read_rows_.contains(place.index)) {
        return false;  // a sum begins before the first block
      }
    }
    return true;
  }

  /// Whether a step could as well run before all of them.
  bool is_independent_of(const Step& step) const {
    for (const Place& place : step.inputs)
      if (place.base == Base::arena && written_.contains(place.index)) return false;
    for (const Place& place : step.outputs) {
      if (place.base == Base::gradient && summed_gradients_.contains(place.byte_offset)) return false;
      if (place.base == Base::arena &&
          (written_.contains(place.index) || read_rows_.contains(place.index) || read_whole_.contains(place.index)))
        return false;
    }
    return true;
  }

  void join(const Step& step) {
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      if (step.inputs[i].base != Base::arena) continue;
      if (step.roles.inputs[i] == RowRole::rows) {
        read_rows_.emplace(step.inputs[i].index, alignment_of(step.inputs[i]));
      } else {
        read_whole_.insert(step.inputs[i].index);
      }
    }
    for (size_t i = 0; i < step.outputs.size(); ++i) {
      if (step.outputs[i].base == Base::gradient) summed_gradients_.insert(step.outputs[i].byte_offset);
      if (step.outputs[i].base != Base::arena) continue;
      const bool rows = step.roles.outputs[i] == RowRole::rows;
      written_.emplace(step.outputs[i].index, rows ? alignment_of(step.outputs[i]) : kUnreadable);
    }
  }

 private:
  /// Row stride, and the row of the buffer at which a window begins: windows with equal ones see the same rows in a
  /// block, whichever columns they have.
  using Alignment = std::pair<int64_t, int64_t>;
  static constexpr Alignment kUnreadable{-1, -1};  // sums are not final before the last block

  static Alignment alignment_of(const Place& place) {
    const int rank = place.layout.shape.rank();
    const int64_t stride = place.layout.strides[static_cast<size_t>(rank >= 2 ? rank - 2 : 0)];
    return {stride, stride > 0 ? place.layout.offset / stride : 0};
  }

  static bool differs(const std::map<int32_t, Alignment>& known, const Place& place) {
    const auto found = known.find(place.index);
    return found != known.end() && found->second != alignment_of(place);
  }

  std::map<int32_t, Alignment> written_, read_rows_;
  std::set<int32_t> read_whole_;
  std::set<int64_t> summed_gradients_;
};

/// Calls f(place, role) for every arena argument of the steps begin <= i < end.
template <class F>
void for_each_arena_place(std::vector<Step>& steps, size_t begin, size_t end, F&& f) {
  for (size_t i = begin; i < end; ++i) {
    Step& step = steps[i];
    for (size_t j = 0; j < step.inputs.size(); ++j)
      if (step.inputs[j].base == Base::arena) f(step.inputs[j], step.roles.inputs[j]);
    for (size_t j = 0; j < step.outputs.size(); ++j)
      if (step.outputs[j].base == Base::arena) f(step.outputs[j], step.roles.outputs[j]);
  }
}

/// Whether the place is a window on columns of a matrix [rows, …] (or all of a vector) that fills its buffer. Heads
/// [h, rows, d] are one when they lie side by side in each row.
bool covers_rows(const Place& place, int64_t rows, const BufferLife& buffer) {
  const Layout& layout = place.layout;
  const int rank = layout.shape.rank();
  if (rank > 3) return false;
  const int64_t stride = layout.strides[static_cast<size_t>(rank >= 2 ? rank - 2 : 0)];
  const int64_t plane_end = rank == 3 ? (layout.shape[0] - 1) * layout.strides[0] : 0;
  const int64_t width = rank >= 2 ? layout.shape[-1] : 1;
  return layout.offset + plane_end + width <= stride &&
         rows * stride * static_cast<int64_t>(bytes_of(place.dtype)) == buffer.bytes;
}

/// Cuts the buffers that live inside the pipeline alone down to one block. Returns them.
std::set<int32_t> shrink_local_buffers(std::vector<Step>& steps, size_t begin, size_t end,
                                       std::vector<BufferLife>& buffers) {
  const int64_t rows = steps[begin].rows;
  std::map<int32_t, bool> local;
  for_each_arena_place(steps, begin, end, [&](const Place& place, RowRole role) {
    const BufferLife& life = buffers[static_cast<size_t>(place.index)];
    const bool inside = life.first >= static_cast<int64_t>(begin) && life.last < static_cast<int64_t>(end);
    const bool fits = inside && role == RowRole::rows && covers_rows(place, rows, life);
    const auto [known, added] = local.emplace(place.index, fits);
    if (!added) known->second = known->second && fits;
  });
  for_each_arena_place(steps, begin, end, [&](Place& place, RowRole) { place.block_local = local[place.index]; });
  std::set<int32_t> shrunk;
  for (const auto& [index, is_local] : local) {
    BufferLife& buffer = buffers[static_cast<size_t>(index)];
    if (!is_local) continue;
    buffer.bytes = buffer.bytes / rows * kPipelineRows;
    shrunk.insert(index);
  }
  return shrunk;
}

/// Whether a step may go on with the pipeline that `first` began.
bool continues(const Step& step, const Step& first, const PipelineHazards& hazards) {
  return !step.begins_pipeline && step.rows == first.rows && hazards.admits(step);
}

/// One past the last step of the pipeline that begins at `begin`.
size_t pipeline_end(const std::vector<Step>& steps, size_t begin, size_t backward_begin) {
  if (steps[begin].rows == 0) return begin + 1;
  PipelineHazards hazards;
  hazards.join(steps[begin]);
  size_t end = begin + 1;
  while (end < steps.size() && end != backward_begin && continues(steps[end], steps[begin], hazards))
    hazards.join(steps[end++]);
  return end;
}

/// The largest sum over rows that some step adds up.
int64_t largest_sum_bytes(const std::vector<Step>& steps) {
  int64_t largest = 0;
  for (const Step& step : steps)
    for (size_t j = 0; j < step.roles.outputs.size(); ++j)
      if (step.roles.outputs[j] == RowRole::summed)
        largest = std::max(largest, step.outputs[j].layout.shape.elements() * static_cast<int64_t>(sizeof(float)));
  return largest;
}

/// Rows of each group of blocks. Not a matter of which steps form a pipeline: plans that compose the same steps into
/// other pipelines (recomputation) give the same bits.
int64_t rows_of_group(int64_t rows, int64_t largest_sum) {
  const int64_t fewest =
      largest_sum > PipelineGroups::kLargeBytes ? PipelineGroups::kFewestRowsLarge : PipelineGroups::kFewestRows;
  const int64_t wanted = std::max(fewest, (rows + PipelineGroups::kMost - 1) / PipelineGroups::kMost);
  return std::min(rows, (wanted + kPipelineRows - 1) / kPipelineRows * kPipelineRows);
}

/// Divides a pipeline into groups, with buffers for their sums.
void divide(std::vector<Step>& steps, size_t begin, size_t end, int64_t group_rows, std::vector<BufferLife>& buffers,
            std::vector<char>& is_own) {
  for (size_t i = begin; i < end; ++i) {
    Step& step = steps[i];
    step.group_rows = group_rows;
    step.partials.assign(step.outputs.size(), -1);
    for (size_t j = 0; j < step.outputs.size() && group_rows < step.rows; ++j) {
      if (step.roles.outputs[j] != RowRole::summed) continue;
      step.partials[j] = static_cast<int64_t>(buffers.size());
      buffers.push_back({.bytes = step.outputs[j].layout.shape.elements() * static_cast<int64_t>(sizeof(float)),
                         .first = static_cast<int64_t>(begin),
                         .last = static_cast<int64_t>(end) - 1});
      is_own.push_back(1);
    }
  }
}

}  // namespace

void move_interruptions(std::vector<Step>& steps, size_t backward_begin) {
  for (size_t begin = 0; begin < steps.size(); ++begin) {
    if (steps[begin].rows == 0) continue;
    PipelineHazards hazards;
    hazards.join(steps[begin]);
    std::vector<char> moves(1, 0);  // by step from `begin` on: goes before it
    size_t end = begin + 1;         // one past the last step that joined
    for (size_t i = end; i < steps.size() && i != backward_begin; ++i) {
      const bool joins = continues(steps[i], steps[begin], hazards);
      if (!joins && (steps[i].begins_pipeline || !hazards.is_independent_of(steps[i]))) break;
      moves.push_back(joins ? char{0} : char{1});
      if (!joins) continue;
      hazards.join(steps[i]);
      end = i + 1;
    }
    std::vector<Step> run(std::make_move_iterator(steps.begin() + static_cast<std::ptrdiff_t>(begin)),
                          std::make_move_iterator(steps.begin() + static_cast<std::ptrdiff_t>(end)));
    size_t next = begin;
    for (const char moved : {char{1}, char{0}})
      for (size_t i = 0; i < run.size(); ++i)
        if (moves[i] == moved) steps[next++] = std::move(run[i]);
    begin = end - 1;
  }
}

void find_pipelines(std::vector<Step>& steps, size_t backward_begin, std::vector<BufferLife>& buffers,
                    std::vector<char>& is_own) {
  const int64_t largest_sum = largest_sum_bytes(steps);
  for (size_t begin = 0, end = 0; begin < steps.size(); begin = end) {
    end = pipeline_end(steps, begin, backward_begin);
    for (size_t i = begin; i < end; ++i) steps[i].pipeline_end = end;
    if (steps[begin].rows > 0) {
      // What lives for one block is dead between its last step and the next block's first: others may share its place.
      for (const int32_t local : shrink_local_buffers(steps, begin, end, buffers))
        is_own[static_cast<size_t>(local)] = 1;
      divide(steps, begin, end, rows_of_group(steps[begin].rows, largest_sum), buffers, is_own);
    }
    const auto first = static_cast<int64_t>(begin), last = static_cast<int64_t>(end) - 1;
    for (size_t i = 0; i < buffers.size(); ++i) {
      BufferLife& life = buffers[i];
      if (is_own[i] != 0 || life.first < 0) continue;
      if (life.first > first && life.first <= last) life.first = first;
      if (life.last >= first && life.last < last) life.last = last;
    }
  }
}

}  // namespace lra::engine
