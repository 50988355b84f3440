#include "engine/onednn/matmul.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <exception>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "engine/aligned.h"
#include "engine/errors.h"
#include "engine/onednn/runtime.h"

namespace lra::engine::onednn {
namespace {

std::atomic<uint64_t> created_primitives{0};

std::string describe(const MatmulSpec& spec) {
  return fmt::format("batch {} m {} n {} k {} strides a {}/{}{} b {}/{}{} c {}/{}{}{}", spec.batch, spec.m, spec.n,
                     spec.k, spec.a_batch_stride, spec.a_row_stride, spec.transpose_a ? "^T" : "", spec.b_batch_stride,
                     spec.b_row_stride, spec.transpose_b ? "^T" : "", spec.c_batch_stride, spec.c_row_stride,
                     spec.bias ? " bias" : "", spec.accumulate ? " accumulate" : "");
}

/// Strides along axes of extent 1 (or 0) mean nothing; oneDNN picks faster code when they look contiguous.
MatmulSpec canonical(MatmulSpec spec) {
  const auto tidy = [](int64_t batch, int64_t rows, int64_t columns, int64_t& row_stride, int64_t& batch_stride) {
    if (rows <= 1) row_stride = std::max<int64_t>(columns, 1);
    if (batch <= 1) batch_stride = rows * row_stride;
  };
  tidy(spec.batch, spec.transpose_a ? spec.k : spec.m, spec.transpose_a ? spec.m : spec.k, spec.a_row_stride,
       spec.a_batch_stride);
  tidy(spec.batch, spec.transpose_b ? spec.n : spec.k, spec.transpose_b ? spec.k : spec.n, spec.b_row_stride,
       spec.b_batch_stride);
  tidy(spec.batch, spec.m, spec.n, spec.c_row_stride, spec.c_batch_stride);
  return spec;
}

void check(const MatmulSpec& spec) {
  LRA_CHECK(spec.batch >= 0 && spec.m >= 0 && spec.n >= 0 && spec.k >= 0, describe(spec));
  LRA_CHECK(spec.a_row_stride >= (spec.transpose_a ? spec.m : spec.k), describe(spec));
  LRA_CHECK(spec.b_row_stride >= (spec.transpose_b ? spec.k : spec.n), describe(spec));
  LRA_CHECK(spec.c_row_stride >= spec.n, describe(spec));
}

struct SpecHash {
  size_t operator()(const MatmulSpec& spec) const {
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (const int64_t word : {spec.batch, spec.m, spec.n, spec.k, spec.a_row_stride, spec.b_row_stride,
                               spec.c_row_stride, spec.a_batch_stride, spec.b_batch_stride, spec.c_batch_stride,
                               int64_t{spec.transpose_a} | int64_t{spec.transpose_b} << 1 | int64_t{spec.bias} << 2 |
                                   int64_t{spec.accumulate} << 3}) {
      hash = (hash ^ static_cast<uint64_t>(word)) * 0x100000001b3ULL;
    }
    return static_cast<size_t>(hash);
  }
};

/// A product over nothing (some extent is 0): the bias, or zero, or c as it is.
class EmptyMatmul final : public Matmul {
 public:
  explicit EmptyMatmul(const MatmulSpec& spec) : spec_(spec) {}
  size_t scratch_bytes() const override { return 0; }
  void run(const float*, const float*, const float* bias, float* c, std::byte*) const override {
    for (int64_t i = 0; i < spec_.batch; ++i) {
      for (int64_t row = 0; row < spec_.m; ++row) {
        float* out = c + i * spec_.c_batch_stride + row * spec_.c_row_stride;
        for (int64_t column = 0; column < spec_.n; ++column) {
          out[column] = (spec_.accumulate ? out[column] : 0.0F) + (spec_.bias ? bias[column] : 0.0F);
        }
      }
    }
  }

 private:
  MatmulSpec spec_;
};

/// Memory objects hold the pointers of one call, so every thread has its own set for every product.
struct Handles {
  dnnl::memory a, b, bias, c, scratch;
  std::array<dnnl_exec_arg_t, 5> arguments{};
  int count = 0;
};

class PrimitiveMatmul final : public Matmul {
 public:
  PrimitiveMatmul(const MatmulSpec& spec, size_t index) : index_(index), has_bias_(spec.bias) {
    using Dims = dnnl::memory::dims;
    const auto f32 = dnnl::memory::data_type::f32;
    a_ = {{spec.batch, spec.m, spec.k}, f32, operand_strides(spec.a_batch_stride, spec.a_row_stride, spec.transpose_a)};
    b_ = {{spec.batch, spec.k, spec.n}, f32, operand_strides(spec.b_batch_stride, spec.b_row_stride, spec.transpose_b)};
    c_ = {{spec.batch, spec.m, spec.n}, f32, operand_strides(spec.c_batch_stride, spec.c_row_stride, false)};
    if (spec.bias) bias_ = {{1, 1, spec.n}, f32, Dims{spec.n, spec.n, 1}};

    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (spec.accumulate) {
      dnnl::post_ops sum;
      sum.append_sum(1.0F);
      attributes.set_post_ops(sum);
    }
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::matmul::primitive_desc description =
        spec.bias ? dnnl::matmul::primitive_desc(cpu_engine(), a_, b_, bias_, c_, attributes)
                  : dnnl::matmul::primitive_desc(cpu_engine(), a_, b_, c_, attributes);
#else
    const dnnl::matmul::primitive_desc description(
        spec.bias ? dnnl::matmul::desc(a_, b_, bias_, c_) : dnnl::matmul::desc(a_, b_, c_), attributes, cpu_engine());
#endif
    primitive_ = dnnl::matmul(description);
    scratch_ = description.scratchpad_desc();
    ++created_primitives;
  }

  size_t scratch_bytes() const override { return scratch_.get_size(); }

  void prepare_calling_thread() const override { thread_handles(); }

  void run(const float* a, const float* b, const float* bias, float* c, std::byte* scratch) const override {
    Handles& handles = thread_handles();
    // The library takes mutable pointers for operands that it only reads.
    const auto set = [](dnnl::memory& memory, const void* data) {
      return dnnl_memory_set_data_handle(memory.get(), const_cast<void*>(data)) == dnnl_success;
    };
    bool ok = set(handles.a, a) && set(handles.b, b) && set(handles.c, c);
    if (has_bias_) ok = ok && set(handles.bias, bias);
    if (scratch_bytes() > 0) ok = ok && set(handles.scratch, scratch);
    ok = ok && dnnl_primitive_execute(primitive_.get(), thread_stream().get(), handles.count,
                                      handles.arguments.data()) == dnnl_success;
    if (!ok) std::terminate();  // a kernel cannot report, and results of a failed product must not be used
  }

 private:
  static dnnl::memory::dims operand_strides(int64_t batch_stride, int64_t row_stride, bool transpose) {
    return transpose ? dnnl::memory::dims{batch_stride, 1, row_stride}
                     : dnnl::memory::dims{batch_stride, row_stride, 1};
  }

  /// Made by prepare_calling_thread(), or at the thread's first run of this product.
  Handles& thread_handles() const {
    thread_local std::vector<std::unique_ptr<Handles>> table;  // by index_
    if (table.size() <= index_) table.resize(index_ + 1);
    if (table[index_] == nullptr) table[index_] = make_handles();
    return *table[index_];
  }

  std::unique_ptr<Handles> make_handles() const {
    auto handles = std::make_unique<Handles>();
    const auto add = [&](int argument, const dnnl::memory::desc& description, dnnl::memory& memory) {
      memory = dnnl::memory(description, cpu_engine(), DNNL_MEMORY_NONE);
      handles->arguments[static_cast<size_t>(handles->count++)] = {argument, memory.get()};
    };
    add(DNNL_ARG_SRC, a_, handles->a);
    add(DNNL_ARG_WEIGHTS, b_, handles->b);
    add(DNNL_ARG_DST, c_, handles->c);
    if (has_bias_) add(DNNL_ARG_BIAS, bias_, handles->bias);
    if (scratch_bytes() > 0) add(DNNL_ARG_SCRATCHPAD, scratch_, handles->scratch);
    return handles;
  }

  size_t index_;
  bool has_bias_;
  dnnl::memory::desc a_, b_, bias_, c_, scratch_;
  dnnl::matmul primitive_;
};

std::shared_ptr<const Matmul> make(const MatmulSpec& spec, size_t index) {
  if (spec.batch == 0 || spec.m == 0 || spec.n == 0 || spec.k == 0) return std::make_shared<EmptyMatmul>(spec);
  try {
    return std::make_shared<PrimitiveMatmul>(spec, index);
  } catch (const dnnl::error& error) {
    throw std::runtime_error(fmt::format("oneDNN cannot make the product {}: {}", describe(spec), error.what()));
  }
}

}  // namespace

namespace {

/// Every product that was ever asked for.
struct KnownProducts {
  std::mutex mutex;
  std::unordered_map<MatmulSpec, std::shared_ptr<const Matmul>, SpecHash> by_spec;
};

KnownProducts& known_products() {
  static KnownProducts products;
  return products;
}

}  // namespace

std::shared_ptr<const Matmul> Matmul::find(const MatmulSpec& requested) {
  KnownProducts& known = known_products();
  const MatmulSpec spec = canonical(requested);
  check(spec);
  const std::lock_guard lock(known.mutex);
  if (const auto found = known.by_spec.find(spec); found != known.by_spec.end()) return found->second;
  return known.by_spec.emplace(spec, make(spec, known.by_spec.size())).first->second;
}

void prepare_calling_thread() {
  // Small products in every order of storage make what the library makes at its first executions, for the process and
  // for the thread: it has several ways, one of them for rows that lie apart.
  constexpr int64_t kSize = 16, kStride = 24;
  AlignedVector<float> a(kSize * kStride), b(kSize * kStride), c(kSize * kStride);
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true}) {
      const std::shared_ptr<const Matmul> small = Matmul::find({.m = kSize,
                                                                .n = kSize,
                                                                .k = kSize,
                                                                .a_row_stride = kStride,
                                                                .b_row_stride = kStride,
                                                                .c_row_stride = kStride,
                                                                .transpose_a = transpose_a,
                                                                .transpose_b = transpose_b});
      AlignedVector<std::byte> scratch(small->scratch_bytes());
      small->run(a.data(), b.data(), nullptr, c.data(), scratch.data());
    }
  KnownProducts& known = known_products();
  const std::lock_guard lock(known.mutex);
  for (const auto& [spec, product] : known.by_spec) product->prepare_calling_thread();
}

uint64_t primitives_created() { return created_primitives.load(); }

}  // namespace lra::engine::onednn
