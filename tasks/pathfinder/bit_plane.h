// A square of bits, one a pixel, with rows that are moved and combined as whole words.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "tasks/pathfinder/drawing.h"

namespace lra::tasks::pathfinder {

/// Up to 256 pixels a side. Bits beyond the side are 0.
class BitPlane {
 public:
  static constexpr int kMaxWords = 4;
  using Row = std::array<uint64_t, kMaxWords>;

  explicit BitPlane(int side) : side_(side), words_((side + 63) / 64), rows_(static_cast<size_t>(side)) {}

  int side() const { return side_; }
  void set(Point at) { rows_[static_cast<size_t>(at.y)][static_cast<size_t>(at.x) / 64] |= uint64_t{1} << (at.x % 64); }
  bool is_set(Point at) const {
    return (rows_[static_cast<size_t>(at.y)][static_cast<size_t>(at.x) / 64] >> (at.x % 64) & 1) != 0;
  }
  Row& row(int y) { return rows_[static_cast<size_t>(y)]; }
  const Row& row(int y) const { return rows_[static_cast<size_t>(y)]; }

  /// Bit x of `to` becomes 1 where bit x + dx of row y is; nothing for rows outside. May leave bits beyond the side.
  void merge_moved(int y, int dx, Row& to) const {
    if (y < 0 || y >= side_) return;
    const Row& from = row(y);
    const int words = dx >= 0 ? dx / 64 : -((-dx + 63) / 64);
    const int bits = dx - 64 * words;  // 0..63
    for (int w = 0; w < words_; ++w) {
      const uint64_t low = word(from, w + words) >> bits;
      const uint64_t high = bits == 0 ? 0 : word(from, w + words + 1) << (64 - bits);
      to[static_cast<size_t>(w)] |= low | high;
    }
  }

  /// Sets the frame of pixels closer than `width` to an edge.
  void set_frame(int width) {
    for (int y = 0; y < side_; ++y) {
      for (int x = 0; x < side_; ++x) {
        if (y < width || x < width || y >= side_ - width || x >= side_ - width) set({y, x});
      }
    }
  }

  /// Clears what is beyond the side.
  void trim(Row& row) const {
    for (int w = 0; w < words_; ++w) row[static_cast<size_t>(w)] &= mask(w);
  }

  /// Every bit of the square the other way round.
  void invert() {
    for (Row& row : rows_) {
      for (int w = 0; w < words_; ++w) row[static_cast<size_t>(w)] ^= mask(w);
    }
  }

  void intersect(const BitPlane& other) {
    for (int y = 0; y < side_; ++y) {
      for (int w = 0; w < words_; ++w) row(y)[static_cast<size_t>(w)] &= other.row(y)[static_cast<size_t>(w)];
    }
  }

  int count() const {
    int sum = 0;
    for (const Row& row : rows_) {
      for (int w = 0; w < words_; ++w) sum += std::popcount(row[static_cast<size_t>(w)]);
    }
    return sum;
  }

  /// The bit that has `rank` others before it, by y and then x. `rank` is below count().
  Point find(int rank) const {
    for (int y = 0;; ++y) {
      for (int w = 0; w < words_; ++w) {
        uint64_t bits = row(y)[static_cast<size_t>(w)];
        const int here = std::popcount(bits);
        if (rank >= here) {
          rank -= here;
          continue;
        }
        for (; rank > 0; --rank) bits &= bits - 1;
        return {y, 64 * w + std::countr_zero(bits)};
      }
    }
  }

 private:
  uint64_t word(const Row& row, int w) const { return w < 0 || w >= words_ ? 0 : row[static_cast<size_t>(w)]; }
  uint64_t mask(int w) const {
    const int bits = side_ - 64 * w;
    return bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  }

  int side_;
  int words_;
  std::vector<Row> rows_;
};

}  // namespace lra::tasks::pathfinder
