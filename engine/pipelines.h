// Which neighbouring row-wise steps of a plan can run block by block together.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/arena_layout.h"
#include "engine/plan.h"

namespace lra::engine {

/// Moves steps that interrupt a run of row-wise steps, and neither need nor disturb what it makes, before it: work on a
/// few landmarks between two operations on all rows does not end a pipeline. Moves nothing across `backward_begin`.
void move_interruptions(std::vector<Step>& steps, size_t backward_begin);

/// Sets `pipeline_end` of every step: the longest runs of row-wise steps over the same number of rows in which every
/// step sees, block by block, what it would see if the earlier ones had run over all rows before. No pipeline crosses
/// `backward_begin`. Lengthens the lives of `buffers` that a pipeline touches to all of it, since its steps take turns,
/// and cuts those that nobody outside of it touches down to the rows of one block. Divides long pipelines into groups
/// of blocks and makes buffers for what they add up. `is_own`, by buffer: each member of a team has one; scratch when
/// called (nothing of it is kept from call to call), then also what belongs to a block or to a group. Places, scratch
/// offsets and partials are still buffer numbers.
void find_pipelines(std::vector<Step>& steps, size_t backward_begin, std::vector<BufferLife>& buffers,
                    std::vector<char>& is_own);

}  // namespace lra::engine
