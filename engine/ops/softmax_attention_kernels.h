// Kernels of softmax attention; private to softmax_attention*.cc.
#pragma once

#include <memory>

#include "engine/kernels/block_products.h"
#include "engine/kernels/dropout_mask.h"
#include "engine/kernels/softmax_tile.h"
#include "engine/op.h"
#include "engine/ops/softmax_attention.h"

namespace lra::engine::softmax_attention {

/// Inputs of the forward kernel: q, k, v: [h, n, d], mask: [n]. Outputs: o: [h, n, d], and the logarithms of the sums
/// of exponentials: [h, n].
enum ForwardInput : size_t { kQ, kK, kV, kMask };
enum ForwardOutput : size_t { kO, kLogSums };
/// The backward kernel also gets the outputs of forward and do.
enum BackwardInput : size_t { kSavedO = 4, kSavedLogSums, kDo };
enum BackwardOutput : size_t { kDq, kDk, kDv };

std::unique_ptr<Kernel> forward_kernel(const KernelRequest& request, const SoftmaxAttentionParams& params);
std::unique_ptr<Kernel> backward_kernel(const KernelRequest& request, const SoftmaxAttentionParams& params);

/// Rows of queries and columns of keys in a tile: measured at d_head 32, small enough for L2 of a megabyte.
struct TileSize {
  int64_t rows;
  int64_t columns;
};

/// What the mask says, in a form that tiles use.
struct Visibility {
  float* bias = nullptr;       // [n]: 0, or -infinity where the key is masked
  float* tile_used = nullptr;  // [tiles of keys]: 1 where any key is unmasked
  int64_t blind_rows = 0;      // rows before this one see no unmasked key
};

/// The problem as both kernels see it.
class Problem {
 public:
  Problem(const KernelRequest& request, const SoftmaxAttentionParams& params, TileSize tile);

  int64_t heads, n, d_head;
  RowBlocks queries, keys;
  SoftmaxAttentionParams params;
  uint32_t dropout_threshold;

  /// Reserves what read_mask() fills.
  void plan(ScratchPlan& plan);
  Visibility read_mask(const View& mask, std::byte* scratch) const;
  /// The tile of a block of queries and one of keys.
  SoftmaxTile tile(const Visibility& visibility, const RowBlock& rows, const RowBlock& columns) const;
  /// The decisions of dropout in a tile of weights of a head.
  DropoutWindow dropout(const ExampleKeys& example, int64_t head, const RowBlock& rows, const RowBlock& columns) const;
  /// Whether any weight of the tile of keys number `column_block` can differ from 0.
  bool any_weight(const Visibility& visibility, const RowBlock& rows, int64_t column_block) const;

 private:
  size_t at_bias_ = 0;
  size_t at_tile_used_ = 0;
};

}  // namespace lra::engine::softmax_attention
