#include "engine/kernels/dropout_mask.h"

#include <array>

#include "engine/kernels/dropout_runs.h"

namespace lra::engine {

uint64_t dropout_key(uint64_t seed, uint64_t site, uint64_t plane) {
  return mix_key({seed, static_cast<uint64_t>(Purpose::dropout), site, plane});
}

bool keep(uint64_t key, const ExampleKeys& keys, uint32_t threshold, int64_t row, int64_t column) {
  const std::array<uint32_t, 4> words =
      philox({static_cast<uint32_t>(column), static_cast<uint32_t>(row / 8), keys.example, keys.step},
             {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)}, kDropoutRounds);
  const auto decision = static_cast<size_t>(row % 8);
  return ((words[decision / 2] >> (16 * (decision % 2))) & 0xffff) >= threshold;
}

void dropout_scales(const DropoutWindow& window, float* scales, int64_t row_stride) {
  const float scale = window.scale;
  write_dropout(window, {}, scales, row_stride,
                [=](int64_t, int64_t) { return [=](int64_t, bool kept) { return select_kept(kept, scale); }; });
}

void multiply_dropout(const DropoutWindow& window, float* x, int64_t row_stride) {
  apply_dropout(window, x, row_stride, x, row_stride);
}

void apply_dropout(const DropoutWindow& window, const float* x, int64_t x_row_stride, float* y, int64_t y_row_stride) {
  const float scale = window.scale;
  write_dropout(window, {{x, x_row_stride}}, y, y_row_stride, [=](int64_t row, int64_t column) {
    const float* from = x + row * x_row_stride + column;
    return [=](int64_t l, bool kept) { return select_kept(kept, from[l] * scale); };
  });
}

void add_dropout(const DropoutWindow& window, const float* residual, int64_t residual_row_stride, const float* x,
                 int64_t x_row_stride, float* y, int64_t y_row_stride) {
  const float scale = window.scale;
  write_dropout(window, {{residual, residual_row_stride}, {x, x_row_stride}}, y, y_row_stride,
                [=](int64_t row, int64_t column) {
                  const float* base = residual + row * residual_row_stride + column;
                  const float* from = x + row * x_row_stride + column;
                  return [=](int64_t l, bool kept) { return base[l] + select_kept(kept, from[l] * scale); };
                });
}

}  // namespace lra::engine
