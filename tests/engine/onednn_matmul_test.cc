// Products by oneDNN against a triple loop in double, over every combination of what a spec can say.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "engine/onednn/info.h"
#include "engine/onednn/matmul.h"
#include "tests/engine/nan.h"

namespace lra::engine::onednn {
namespace {

/// 64-byte aligned bytes with arbitrary (all-ones: NaN) content.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : buffer_(bytes + 64, std::byte{0xff}) {}
  std::byte* get() {
    void* data = buffer_.data();
    size_t space = buffer_.size();
    return static_cast<std::byte*>(std::align(64, space - 64, data, space));
  }

 private:
  std::vector<std::byte> buffer_;
};

/// The operands of one product, with gaps between rows and batches.
struct Operands {
  std::vector<float> a, b, bias, c;

  explicit Operands(const MatmulSpec& spec) {
    const auto extent = [&](int64_t rows, int64_t row_stride, int64_t batch_stride) {
      return static_cast<size_t>(
          std::max<int64_t>(rows * row_stride + std::max<int64_t>(spec.batch - 1, 0) * batch_stride, 1));
    };
    std::mt19937 random(static_cast<uint32_t>(spec.m * 31 + spec.n * 7 + spec.k));
    std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
    const auto draw = [&] { return uniform(random); };
    a.resize(extent(spec.transpose_a ? spec.k : spec.m, spec.a_row_stride, spec.a_batch_stride));
    b.resize(extent(spec.transpose_b ? spec.n : spec.k, spec.b_row_stride, spec.b_batch_stride));
    c.resize(extent(spec.m, spec.c_row_stride, spec.c_batch_stride));
    bias.resize(static_cast<size_t>(std::max<int64_t>(spec.n, 1)));
    for (std::vector<float>* values : {&a, &b, &c, &bias}) std::generate(values->begin(), values->end(), draw);
  }
};

/// c as it must be after the product; elements outside the product keep their value.
std::vector<float> expected(const MatmulSpec& spec, const Operands& x) {
  std::vector<float> result = x.c;
  const auto at = [](const std::vector<float>& values, int64_t index) {
    return double{values[static_cast<size_t>(index)]};
  };
  for (int64_t i = 0; i < spec.batch; ++i) {
    for (int64_t row = 0; row < spec.m; ++row) {
      for (int64_t column = 0; column < spec.n; ++column) {
        double sum = 0;
        for (int64_t inner = 0; inner < spec.k; ++inner) {
          const int64_t a_row = spec.transpose_a ? inner : row;
          const int64_t a_column = spec.transpose_a ? row : inner;
          const int64_t b_row = spec.transpose_b ? column : inner;
          const int64_t b_column = spec.transpose_b ? inner : column;
          sum += at(x.a, i * spec.a_batch_stride + a_row * spec.a_row_stride + a_column) *
                 at(x.b, i * spec.b_batch_stride + b_row * spec.b_row_stride + b_column);
        }
        const int64_t index = i * spec.c_batch_stride + row * spec.c_row_stride + column;
        if (spec.bias) sum += at(x.bias, column);
        if (spec.accumulate) sum += at(x.c, index);
        result[static_cast<size_t>(index)] = static_cast<float>(sum);
      }
    }
  }
  return result;
}

/// Overwrites what the product must not read.
std::vector<float> poisoned(const MatmulSpec& spec, const Operands& x) {
  std::vector<float> c = x.c;
  if (spec.accumulate) return c;
  for (int64_t i = 0; i < spec.batch; ++i) {
    for (int64_t row = 0; row < spec.m; ++row) {
      std::fill_n(c.begin() + i * spec.c_batch_stride + row * spec.c_row_stride, spec.n, kNaN);
    }
  }
  return c;
}

MatmulSpec spec_of(int64_t batch, int64_t m, int64_t n, int64_t k, int flags, int64_t gap) {
  MatmulSpec spec{.batch = batch,
                  .m = m,
                  .n = n,
                  .k = k,
                  .transpose_a = (flags & 1) != 0,
                  .transpose_b = (flags & 2) != 0,
                  .bias = (flags & 4) != 0,
                  .accumulate = (flags & 8) != 0};
  spec.a_row_stride = (spec.transpose_a ? m : k) + gap;
  spec.b_row_stride = (spec.transpose_b ? k : n) + gap;
  spec.c_row_stride = n + gap;
  spec.a_batch_stride = (spec.transpose_a ? k : m) * spec.a_row_stride;
  spec.b_batch_stride = (spec.transpose_b ? n : k) * spec.b_row_stride;
  spec.c_batch_stride = m * spec.c_row_stride;
  return spec;
}

std::vector<float> run(const MatmulSpec& spec, const Operands& x) {
  const auto product = Matmul::find(spec);
  std::vector<float> c = poisoned(spec, x);
  Scratch scratch(product->scratch_bytes());
  product->run(x.a.data(), x.b.data(), spec.bias ? x.bias.data() : nullptr, c.data(), scratch.get());
  return c;
}

std::string repro(const MatmulSpec& s) {
  return fmt::format("batch {} m {} n {} k {} rows {} {} {} ta {} tb {} bias {} accumulate {}", s.batch, s.m, s.n, s.k,
                     s.a_row_stride, s.b_row_stride, s.c_row_stride, s.transpose_a, s.transpose_b, s.bias,
                     s.accumulate);
}

void expect_matches(const MatmulSpec& spec) {
  const Operands x(spec);
  const std::vector<float> want = expected(spec, x);
  const std::vector<float> got = run(spec, x);
  double error = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double difference = std::abs(double{got[i]} - double{want[i]});
    error = std::isnan(difference) ? kNaN : std::max(error, difference);
    if (std::isnan(difference)) break;
  }
  EXPECT_LE(error, 2e-6 * std::sqrt(static_cast<double>(spec.k) + 1)) << repro(spec);
}

TEST(OnednnMatmulTest, MatchesTripleLoopForEveryCombination) {
  use_calling_thread_only();
  const int64_t shapes[][3] = {{1, 1, 1}, {1, 5, 7}, {5, 1, 7}, {5, 7, 1}, {63, 17, 33}, {100, 64, 32}};
  for (const auto& [m, n, k] : shapes) {
    for (int flags = 0; flags < 16; ++flags) {
      for (const int64_t batch : {1, 3}) {
        for (const int64_t gap : {0, 5}) expect_matches(spec_of(batch, m, n, k, flags, gap));
      }
    }
  }
}

TEST(OnednnMatmulTest, TakesHeadsThatLieInsideRows) {
  // q and k of three heads in rows of [q | k | v]: the batch stride is shorter than a row.
  MatmulSpec spec = spec_of(3, 100, 100, 32, 2, 0);
  spec.a_row_stride = spec.b_row_stride = 288;
  spec.a_batch_stride = spec.b_batch_stride = 32;
  expect_matches(spec);
  MatmulSpec values = spec_of(3, 100, 32, 100, 8, 0);
  values.b_row_stride = values.c_row_stride = 96;
  values.b_batch_stride = values.c_batch_stride = 32;
  expect_matches(values);
}

TEST(OnednnMatmulTest, EmptyExtentsAreSafe) {
  for (int flags = 0; flags < 16; ++flags) {
    expect_matches(spec_of(2, 3, 4, 0, flags, 1));
    expect_matches(spec_of(2, 0, 4, 3, flags, 1));
    expect_matches(spec_of(2, 3, 0, 4, flags, 1));
    expect_matches(spec_of(0, 3, 4, 5, flags, 1));
  }
}

TEST(OnednnMatmulTest, SameSpecIsTheSameProductAndMakesNoPrimitive) {
  const MatmulSpec spec = spec_of(1, 37, 41, 43, 0, 0);
  const auto first = Matmul::find(spec);
  const uint64_t created = primitives_created();
  EXPECT_EQ(first, Matmul::find(spec));
  const Operands x(spec);
  run(spec, x);
  EXPECT_EQ(created, primitives_created());
}

TEST(OnednnMatmulTest, ThreadsSharingOneProductGetTheSameBits) {
  for (const int flags : {0, 1, 2, 12}) {
    const MatmulSpec spec = spec_of(2, 257, 64, 65, flags, 3);
    const Operands x(spec);
    const std::vector<float> want = run(spec, x);
    std::vector<int> wrong(4, 0);
    {
      std::vector<std::jthread> threads;
      for (size_t t = 0; t < wrong.size(); ++t) {
        threads.emplace_back([&, t] {
          use_calling_thread_only();
          for (int repeat = 0; repeat < 100; ++repeat) {
            const std::vector<float> got = run(spec, x);
            wrong[t] += !std::equal(got.begin(), got.end(), want.begin());
          }
        });
      }
    }
    EXPECT_EQ(wrong, std::vector<int>(4, 0)) << repro(spec);
  }
}

TEST(OnednnInfoTest, NamesTheLibraryAndMeasuresTheThread) {
  EXPECT_FALSE(version().empty());
  EXPECT_FALSE(effective_isa().empty());
  EXPECT_GT(measure_sgemm_gflops(0.01), 0.0);
}

}  // namespace
}  // namespace lra::engine::onednn
