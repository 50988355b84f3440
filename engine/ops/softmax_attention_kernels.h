// Kernels of softmax attention; private to softmax_attention*.cc.
#pragma once

#include <memory>

#include "engine/kernels/block_products.h"
#include "engine/kernels/dropout_mask.h"
#include "engine/kernels/softmax_tile.h"
#include "engine/kernels/tile_products.h"
#include "engine/op.h"
#include "engine/ops/softmax_attention.h"

namespace lra::engine::softmax_kernels {

/// Inputs of the forward kernel: q: [h, n, d], k, v: [h, m, d], mask: [m]. Outputs: o: [h, n, d], and the binary
/// logarithms of the sums of exponentials: [h, n].
enum ForwardInput : size_t { kQ, kK, kV, kMask };
enum ForwardOutput : size_t { kO, kLog2Sums };
/// The backward kernel also gets the outputs of forward and do.
enum BackwardInput : size_t { kSavedO = 4, kSavedLog2Sums, kDo };
enum BackwardOutput : size_t { kDq, kDk, kDv };

std::unique_ptr<Kernel> forward_kernel(const KernelRequest& request, const SoftmaxAttentionParams& params);
std::unique_ptr<Kernel> backward_kernel(const KernelRequest& request, const SoftmaxAttentionParams& params);

/// Keys of a tile. A strip of queries by a tile stays in L1 or L2 from one product or pass to the next; measured, it
/// hardly matters between 96 and 384.
inline constexpr int64_t kTileColumns = 4 * kPanelColumns;

/// Queries of a strip. Backwards they are what the sums of dk and dv in registers run over, so the longer the better.
inline constexpr int64_t kForwardStripRows = 32;
inline constexpr int64_t kBackwardStripRows = 64;

/// What the mask says, in a form that tiles use.
struct Visibility {
  const float* bias = nullptr;       // [tiles of keys, tile_stride]: 0, or -infinity where the key is masked or none
  const float* tile_used = nullptr;  // [tiles of keys]: 1 where any key is unmasked
  const float* blind = nullptr;      // [n]: 1 where a query sees no unmasked key; null: all see one
};

/// The problem as both kernels see it: strips of queries by tiles of keys. A strip has a multiple of 8 rows, so that
/// they share their random bits.
///
/// Their scratch has two parts. The shared one holds what is prepared from a whole head's rows and only read
/// afterwards. The own one belongs to whoever works on a part of the result: a query block forwards, a tile of keys
/// backwards.
class Problem {
 public:
  Problem(const KernelRequest& request, const SoftmaxAttentionParams& attention, int64_t strip_rows);

  int64_t heads, n, d_head;  // n queries
  Reach reach;
  RowBlocks strips, keys;
  SoftmaxAttentionParams params;
  uint32_t dropout_threshold;

  int64_t d_padded() const { return padded_width(d_head); }
  /// Tiles of keys that a block of queries may see, numbers from and to.
  RowBlock tiles_of(const RowBlock& rows) const;
  /// Floats from one row of a tile to the next.
  int64_t tile_stride() const { return padded_to_panels(keys.block_rows()); }
  /// Floats that a tile of keys (or values) takes as columns of a product.
  int64_t panel_floats() const { return tile_stride() * d_head; }
  /// Floats that it takes as rows.
  int64_t row_floats() const { return keys.block_rows() * d_padded(); }

  /// Reserves what prepare_mask() fills.
  void plan(ScratchPlan& plan);
  void prepare_mask(const View& mask, std::byte* shared) const;
  Visibility visibility(std::byte* shared) const;
  /// The part of the tile of a strip of queries and a block of keys that any of the queries sees. It begins at a
  /// multiple of kPanelColumns columns, its dropout.column_begin.
  SoftmaxTile tile(const Visibility& visibility, const ExampleKeys& example, int64_t head, const RowBlock& rows,
                   const RowBlock& columns) const;
  /// Whether any weight of a strip and the tile of keys number `key_tile` can differ from 0.
  bool any_weight(const Visibility& visibility, const RowBlock& rows, int64_t key_tile) const;

 private:
  size_t at_bias_ = 0;
  size_t at_tile_used_ = 0;
  size_t at_blind_ = 0;  // [n], and whether any is
};

}  // namespace lra::engine::softmax_kernels
