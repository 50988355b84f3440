#include "engine/ops/feature_maps.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <mutex>
#include <numbers>
#include <vector>

#include "engine/errors.h"
#include "engine/kernels/fixed_width.h"
#include "engine/kernels/vmath.h"

namespace lra::engine {
namespace {

class EluPlusOne final : public FeatureMap {
 public:
  int64_t features(int64_t d_head) const override { return d_head; }

  void forward(const RowPositions&, int64_t rows, int64_t d_head, const float* x, int64_t row_stride,
               float* f) const override {
    with_width(d_head, [=](auto width) {
      for (int64_t row = 0; row < rows; ++row) {
        const float* in = x + row * row_stride;
        float* out = f + row * width;
#pragma omp simd
        for (int64_t j = 0; j < width; ++j) {
          const float value = in[j];
          const float power = exp_f32(value > 0.0F ? 0.0F : value);  // a NaN stays one
          out[j] = value > 0.0F ? value + 1.0F : power;
        }
      }
    });
  }

  void backward(const RowPositions&, int64_t rows, int64_t d_head, const float* x, int64_t row_stride, const float* df,
                float* dx, int64_t dx_row_stride) const override {
    with_width(d_head, [=](auto width) {
      for (int64_t row = 0; row < rows; ++row) {
        const float* in = x + row * row_stride;
        const float* gradient = df + row * width;
        float* out = dx + row * dx_row_stride;
#pragma omp simd
        for (int64_t j = 0; j < width; ++j) {
          // e^0 = 1 is the slope of the linear part as well.
          out[j] = gradient[j] * exp_f32(in[j] > 0.0F ? 0.0F : in[j]);
        }
      }
    });
  }
};

class Cosine final : public FeatureMap {
 public:
  explicit Cosine(int64_t nominal_length)
      : sin_(static_cast<size_t>(nominal_length)), cos_(static_cast<size_t>(nominal_length)) {
    for (size_t i = 0; i < sin_.size(); ++i) {
      const double theta = std::numbers::pi * static_cast<double>(i + 1) / (2.0 * static_cast<double>(nominal_length));
      sin_[i] = static_cast<float>(std::sin(theta));
      cos_[i] = static_cast<float>(std::cos(theta));
    }
  }

  int64_t features(int64_t d_head) const override { return 2 * d_head; }
  int64_t positions() const override { return static_cast<int64_t>(sin_.size()); }

  void forward(const RowPositions& positions, int64_t rows, int64_t d_head, const float* x, int64_t row_stride,
               float* f) const override {
    with_width(d_head, [=, this](auto width) {
      for (int64_t row = 0; row < rows; ++row) {
        const auto position = static_cast<size_t>(positions[row]);
        const float sine = sin_[position], cosine = cos_[position];
        const float* in = x + row * row_stride;
        float* sines = f + row * 2 * width;
        float* cosines = sines + width;
#pragma omp simd
        for (int64_t j = 0; j < width; ++j) {
          const float value = in[j] < 0.0F ? 0.0F : in[j];  // a NaN stays one
          sines[j] = value * sine;
          cosines[j] = value * cosine;
        }
      }
    });
  }

  void backward(const RowPositions& positions, int64_t rows, int64_t d_head, const float* x, int64_t row_stride,
                const float* df, float* dx, int64_t dx_row_stride) const override {
    with_width(d_head, [=, this](auto width) {
      for (int64_t row = 0; row < rows; ++row) {
        const auto position = static_cast<size_t>(positions[row]);
        const float sine = sin_[position], cosine = cos_[position];
        const float* in = x + row * row_stride;
        const float* sines = df + row * 2 * width;
        const float* cosines = sines + width;
        float* out = dx + row * dx_row_stride;
#pragma omp simd
        for (int64_t j = 0; j < width; ++j) {
          const float gradient = sines[j] * sine + cosines[j] * cosine;
          out[j] = in[j] > 0.0F ? gradient : 0.0F;
        }
      }
    });
  }

 private:
  std::vector<float> sin_;  // of θ at 0-based positions
  std::vector<float> cos_;
};

}  // namespace

std::shared_ptr<const FeatureMap> elu_plus_one_features() {
  static const auto kMap = std::make_shared<const EluPlusOne>();
  return kMap;
}

std::shared_ptr<const FeatureMap> cosine_features(int64_t nominal_length) {
  LRA_CHECK(nominal_length > 0, fmt::format("cosine features over {} positions", nominal_length));
  // All layers and plans of a model have the same; its tables last as long as somebody uses them.
  static std::mutex mutex;
  static std::map<int64_t, std::weak_ptr<const Cosine>> known;
  const std::lock_guard lock(mutex);
  std::shared_ptr<const Cosine> map = known[nominal_length].lock();
  if (map == nullptr) known[nominal_length] = map = std::make_shared<const Cosine>(nominal_length);
  return map;
}

}  // namespace lra::engine
