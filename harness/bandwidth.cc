#include "harness/bandwidth.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "engine/kernels/arrays.h"
#include "engine/plan.h"
#include "harness/proc_files.h"
#include "harness/stopwatch.h"
#include "reports/statistics.h"

namespace lra::harness {
namespace {

constexpr int64_t kArrays = 3;
constexpr int64_t kChunkElements = 1 << 16;  // timed at once: short, so that the median knows no interruptions

}  // namespace

int64_t triad_array_bytes(int threads, int64_t available_bytes, const std::filesystem::path& root) {
  constexpr int64_t kUsualL2Bytes = int64_t{1} << 20, kLargest = int64_t{64} << 20;
  const int64_t smallest = 4 * cache_bytes(2, root).value_or(kUsualL2Bytes);
  const int64_t last_level_share = cache_bytes(3, root).value_or(0) / (2 * threads);
  int64_t bytes = std::max(smallest, std::min(last_level_share, kLargest));
  const int64_t most = std::max<int64_t>(available_bytes, 0) / 2;
  while (kArrays * bytes * threads > most) bytes /= 2;
  return bytes >= smallest ? bytes / 64 * 64 : 0;
}

double measure_triad_gb_per_s(engine::Workers& workers, int64_t array_bytes, double min_time_s) {
  const int64_t count = array_bytes / static_cast<int64_t>(sizeof(float));
  std::vector<double> gb_per_s(static_cast<size_t>(workers.count()));
  workers.run([&](int worker) {
    const engine::Arena a_memory(array_bytes), b_memory(array_bytes), c_memory(array_bytes);
    float* a = reinterpret_cast<float*>(a_memory.data());
    float* b = reinterpret_cast<float*>(b_memory.data());
    float* const c = reinterpret_cast<float*>(c_memory.data());
    std::fill_n(a, count, 0.0F);
    std::fill_n(b, count, 1.0F);
    std::fill_n(c, count, 2.0F);
    std::vector<double> chunk_s;
    const Clock::time_point begin = Clock::now();
    do {
      for (int64_t at = 0; at < count; at += kChunkElements) {
        const int64_t chunk = std::min(kChunkElements, count - at);
        const Clock::time_point start = Clock::now();
        engine::scaled_sum(b + at, c + at, 0.5F, a + at, chunk);
        if (chunk == kChunkElements) chunk_s.push_back(seconds_since(start));
      }
      std::swap(a, b);  // every pass reads what the last one wrote: none can be left out
    } while (seconds_since(begin) < min_time_s);
    constexpr double kChunkBytes = kArrays * kChunkElements * sizeof(float);
    gb_per_s[static_cast<size_t>(worker)] = kChunkBytes / reports::median(chunk_s) * 1e-9;
  });
  return std::accumulate(gb_per_s.begin(), gb_per_s.end(), 0.0);
}

}  // namespace lra::harness
