#include "engine/kernels/copy.h"

#include "engine/kernels/rows.h"

namespace lra::engine {
namespace {

template <class T>
class CopyKernel final : public Kernel {
  void run(const KernelArguments& arguments) const override {
    const View &x = arguments.inputs[0], &y = arguments.outputs[0];
    const BroadcastRows rows_x(x, x.shape()), rows_y(y, y.shape());
    const int64_t width = x.shape().rank() == 0 ? 1 : x.shape()[-1];
    const int64_t in = width > 1 ? x.stride(-1) : 1, out = width > 1 ? y.stride(-1) : 1;
    for_each_row(x.shape(), [&](const RowIndex& at) {
      const T* from = rows_x.row<const T>(at);
      T* to = rows_y.row<T>(at);
      for (int64_t i = 0; i < width; ++i) to[i * out] = from[i * in];
    });
  }
};

template <class T>
class AddToKernel final : public Kernel {
  void run(const KernelArguments& arguments) const override {
    const View &x = arguments.inputs[0], &y = arguments.outputs[0];
    const BroadcastRows rows_x(x, x.shape()), rows_y(y, y.shape());
    const int64_t width = x.shape().rank() == 0 ? 1 : x.shape()[-1];
    for_each_row(x.shape(), [&](const RowIndex& at) {
      const T* from = rows_x.row<const T>(at);
      T* to = rows_y.row<T>(at);
#pragma omp simd
      for (int64_t i = 0; i < width; ++i) to[i] += from[i];
    });
  }
};

}  // namespace

std::shared_ptr<const Kernel> copy_kernel(Dtype dtype) {
  if (dtype == Dtype::f64) return std::make_shared<const CopyKernel<double>>();
  return std::make_shared<const CopyKernel<float>>();  // i32 moves as 4 bytes, too
}

std::shared_ptr<const Kernel> add_to_kernel(Dtype dtype) {
  if (dtype == Dtype::f64) return std::make_shared<const AddToKernel<double>>();
  return std::make_shared<const AddToKernel<float>>();
}

}  // namespace lra::engine
