// A step allocates nothing: operator new is counted by who calls it, ours apart from the libraries'.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "attention/registry.h"
#include "engine/onednn/matmul.h"
#include "harness/learner.h"
#include "tests/harness/tiny_model.h"

namespace {

thread_local bool t_counting = false;  // off everywhere but in this file's tests
std::atomic<int64_t> allocations_of_ours{0}, allocations_of_libraries{0};

/// Counts an allocation asked for at `caller`: code of libdnnl and what it uses, or ours (the standard library's code
/// runs on our behalf).
void count(const void* caller) {
  if (!t_counting) return;
  t_counting = false;  // dladdr may allocate
  Dl_info info{};
  const bool known = dladdr(caller, &info) != 0 && info.dli_fname != nullptr;
  const bool library =
      known && (std::strstr(info.dli_fname, "libdnnl") != nullptr || std::strstr(info.dli_fname, "libgomp") != nullptr);
  ++(library ? allocations_of_libraries : allocations_of_ours);
  t_counting = true;
}

void* allocate(std::size_t bytes, std::size_t alignment, const void* caller) {
  count(caller);
  bytes = bytes == 0 ? 1 : bytes;
  void* data = alignment <= alignof(std::max_align_t)
                   ? std::malloc(bytes)
                   : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

}  // namespace

#if defined(__GNUC__) && !defined(__clang__)
// GCC pairs inlined parts of the functions below with others' and sees mismatches that are not there.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

void* operator new(std::size_t bytes) { return allocate(bytes, 0, __builtin_return_address(0)); }
void* operator new[](std::size_t bytes) { return allocate(bytes, 0, __builtin_return_address(0)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment), __builtin_return_address(0));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment), __builtin_return_address(0));
}
// The sanitizers bring their own forms of these two: all of a family or none must be replaced.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes, 0, __builtin_return_address(0));
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes, 0, __builtin_return_address(0));
}
void operator delete(void* data) noexcept { std::free(data); }
void operator delete(void* data, const std::nothrow_t&) noexcept { std::free(data); }
void operator delete[](void* data, const std::nothrow_t&) noexcept { std::free(data); }
void operator delete[](void* data) noexcept { std::free(data); }
void operator delete(void* data, std::size_t) noexcept { std::free(data); }
void operator delete[](void* data, std::size_t) noexcept { std::free(data); }
void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
void operator delete[](void* data, std::align_val_t) noexcept { std::free(data); }
void operator delete(void* data, std::size_t, std::align_val_t) noexcept { std::free(data); }
void operator delete[](void* data, std::size_t, std::align_val_t) noexcept { std::free(data); }

namespace lra::harness {
namespace {

/// Counts on all workers of a learner while it lives.
class Counting {
 public:
  explicit Counting(engine::Workers& workers) : workers_(workers) {
    allocations_of_ours = allocations_of_libraries = 0;
    workers_.run([](int) { t_counting = true; });
  }
  ~Counting() {
    workers_.run([](int) { t_counting = false; });
  }

 private:
  engine::Workers& workers_;
};

class AllocationsTest : public ::testing::TestWithParam<std::string> {};

TEST_P(AllocationsTest, StepsAfterConstructionMakeNoneOfOursAndNoPrimitive) {
  for (const int threads : {1, 3})
    for (const bool causal : {false, true}) {
      TrainConfig config = testing::tiny_config(GetParam(), testing::kLongest);
      config.attention.causal = causal && attention::find(GetParam()).facts().causal;
      config.model.dropout = config.model.attention_dropout = 0.1;
      config.train.clip_norm = 1;
      config.train.clip_value = 1;
      Model model(config, testing::kTask, engine::Dtype::f32, engine::Kernels::fused);
      const testing::VariedExamples examples(40, testing::kLongest, 1);
      const std::vector<int64_t> lengths = examples.lengths();
      Learner learner(model, {.threads = threads}, lengths, lengths);
      BatchOrder order(examples.size(), config.train.batch_size, 0);
      std::vector<int64_t> batch(static_cast<size_t>(config.train.batch_size));
      const uint64_t primitives = engine::onednn::primitives_created();
      double loss = 0;
      {
        const Counting counting(learner.workers());
        for (int64_t step = 0; step < 6; ++step) {
          order.batch(step, batch);
          loss += learner.train_step(examples, batch, step).loss();
          loss += learner.infer_batch(examples, batch).loss();
        }
      }
      EXPECT_TRUE(std::isfinite(loss));
      EXPECT_EQ(allocations_of_ours, 0) << threads << " threads";
      EXPECT_EQ(engine::onednn::primitives_created(), primitives);
      RecordProperty("allocations_of_libraries", static_cast<int>(allocations_of_libraries));
    }
}

TEST_P(AllocationsTest, TeamsMakeNoneOfOurs) {
  constexpr int64_t kDivisible = 2 * engine::PipelineGroups::kFewestRows + 70;
  TrainConfig config = testing::tiny_config(GetParam(), kDivisible);
  config.model.dropout = config.model.attention_dropout = 0.1;
  Model model(config, testing::kTask, engine::Dtype::f32, engine::Kernels::fused);
  const testing::VariedExamples examples(2, kDivisible, 1);
  const std::vector<int64_t> lengths = examples.lengths(), batch = {0};
  Learner learner(model, {.threads = 3}, lengths, lengths);
  double loss = 0;
  {
    const Counting counting(learner.workers());
    for (int64_t step = 0; step < 2; ++step) loss += learner.train_step(examples, batch, step).loss();
    loss += learner.infer_batch(examples, batch).loss();
  }
  EXPECT_TRUE(std::isfinite(loss));
  EXPECT_EQ(allocations_of_ours, 0);
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, AllocationsTest, ::testing::ValuesIn(attention::names()),
                         [](const auto& test) { return test.param; });

TEST(AllocationCounterTest, SeesOurAllocationsOnEveryWorkerAndNothingWhenOff) {
  engine::Workers workers(3);
  {
    const Counting counting(workers);
    workers.run([](int) {
      std::vector<int> some(10);
      asm volatile("" : : "r"(some.data()) : "memory");
    });
    EXPECT_EQ(allocations_of_ours, 3);
    struct alignas(128) Wide {
      char bytes[128];
    };
    Wide* wide = new Wide;
    asm volatile("" : : "r"(wide) : "memory");
    delete wide;
    EXPECT_EQ(allocations_of_ours, 4);
  }
  std::vector<int> other(10);
  asm volatile("" : : "r"(other.data()) : "memory");
  EXPECT_EQ(allocations_of_ours, 4);
}

}  // namespace
}  // namespace lra::harness
