// What kernels that walk a sequence block by block share: products for full and tail blocks, and a plan of scratch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/onednn/matmul.h"
#include "engine/tensor.h"

namespace lra::engine {

/// Rows [begin, begin + rows) of a sequence.
struct RowBlock {
  int64_t begin = 0;
  int64_t rows = 0;
};

/// A sequence of n rows cut into blocks; the last one may be shorter.
class RowBlocks {
 public:
  RowBlocks(int64_t n, int64_t block_rows) : n_(n), block_rows_(std::min(std::max<int64_t>(n, 1), block_rows)) {}

  int64_t count() const { return (n_ + block_rows_ - 1) / block_rows_; }
  int64_t block_rows() const { return block_rows_; }
  /// Rows of the last block when it is shorter than the others, or 0.
  int64_t tail_rows() const { return n_ % block_rows_; }
  RowBlock operator[](int64_t index) const {
    const int64_t begin = index * block_rows_;
    return {begin, std::min(block_rows_, n_ - begin)};
  }

 private:
  int64_t n_;
  int64_t block_rows_;
};

/// One product prepared for full blocks and for the tail block.
class BlockProduct {
 public:
  BlockProduct() = default;
  /// `spec_of(rows)` is the spec for a block of that many rows.
  template <class SpecOf>
  BlockProduct(const RowBlocks& blocks, SpecOf&& spec_of)
      : block_rows_(blocks.block_rows()), full_(onednn::Matmul::find(spec_of(blocks.block_rows()))) {
    if (blocks.tail_rows() > 0) tail_ = onednn::Matmul::find(spec_of(blocks.tail_rows()));
  }

  size_t scratch_bytes() const {
    return std::max(full_->scratch_bytes(), tail_ == nullptr ? size_t{0} : tail_->scratch_bytes());
  }
  void run(int64_t rows, const float* a, const float* b, float* c, std::byte* scratch) const {
    run(rows, a, b, nullptr, c, scratch);
  }
  void run(int64_t rows, const float* a, const float* b, const float* bias, float* c, std::byte* scratch) const {
    const onednn::Matmul& product = rows == block_rows_ ? *full_ : *tail_;
    product.run(a, b, bias, c, scratch);
  }

 private:
  int64_t block_rows_ = 0;
  std::shared_ptr<const onednn::Matmul> full_;
  std::shared_ptr<const onednn::Matmul> tail_;
};

/// Places for arrays inside a kernel's scratch, each at a multiple of 64 bytes.
class ScratchPlan {
 public:
  /// Where `bytes` bytes begin.
  size_t add_bytes(size_t bytes) {
    const size_t at = bytes_;
    bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  }
  size_t add_floats(int64_t count) { return add_bytes(static_cast<size_t>(count) * sizeof(float)); }
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kAlignment = 64;
  size_t bytes_ = 0;
};

/// The floats at a place of the scratch.
inline float* floats_at(std::byte* scratch, size_t place) { return reinterpret_cast<float*>(scratch + place); }

/// Address of (head, row, 0) in a strided [h, n, d] view.
inline float* row_of(const View& x, int64_t head, int64_t row) {
  return x.as<float>() + head * x.stride(0) + row * x.stride(1);
}

/// Address of (head, 0) in an [h, n] view.
inline float* vector_of(const View& x, int64_t head) { return x.as<float>() + head * x.stride(0); }

}  // namespace lra::engine
