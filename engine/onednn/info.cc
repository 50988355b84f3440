#include "engine/onednn/info.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "engine/errors.h"
#include "engine/isa.h"
#include "engine/onednn/matmul.h"
#include "engine/onednn/runtime.h"

namespace lra::engine::onednn {

namespace {

dnnl_cpu_isa_t onednn_isa(Isa isa) {
  switch (isa) {
    case Isa::sse2:
      return dnnl_cpu_isa_sse41;  // the least that can be asked for; what the processor lacks is not used
    case Isa::avx2:
      return dnnl_cpu_isa_avx2;
    case Isa::avx512:
      break;
  }
  return dnnl_cpu_isa_avx512_core;
}

/// Passes $LRA_MAX_ISA on. oneDNN takes a limit only until its first use, which is why every use begins here.
/// Throws UsageError.
void limit_isa_once() {
  static const bool done = [] {
    const std::optional<Isa> limit = isa_limit();
    if (limit && dnnl_set_max_cpu_isa(onednn_isa(*limit)) != dnnl_success) {
      throw UsageError(fmt::format("oneDNN {} cannot be kept to LRA_MAX_ISA={}", version(), name_of(*limit)),
                       "unset it, or use a oneDNN built with ONEDNN_ENABLE_MAX_CPU_ISA");
    }
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace

const dnnl::engine& cpu_engine() {
  limit_isa_once();
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& thread_stream() {
  thread_local dnnl::stream stream(cpu_engine());
  return stream;
}

std::string version() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

std::string effective_isa() {
  limit_isa_once();
  switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_sse41:
      return "sse41";
    case dnnl_cpu_isa_avx:
      return "avx";
    case dnnl_cpu_isa_avx2:
      return "avx2";
    case dnnl_cpu_isa_avx2_vnni:
      return "avx2_vnni";
    case dnnl_cpu_isa_avx512_core:
      return "avx512_core";
    case dnnl_cpu_isa_avx512_core_vnni:
      return "avx512_core_vnni";
    case dnnl_cpu_isa_avx512_core_bf16:
      return "avx512_core_bf16";
    case dnnl_cpu_isa_avx512_core_amx:
      return "avx512_core_amx";
    default:
      // Names differ between versions of the library; the value still tells machines apart.
      return fmt::format("isa_{:#x}", static_cast<unsigned>(dnnl_get_effective_cpu_isa()));
  }
}

void use_calling_thread_only() { omp_set_num_threads(1); }

double measure_sgemm_gflops(double burst_s) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kSize = 512;
  const auto product = Matmul::find(
      {.m = kSize, .n = kSize, .k = kSize, .a_row_stride = kSize, .b_row_stride = kSize, .c_row_stride = kSize});
  // Small exact numbers: a denormal or infinite operand must not slow the yardstick down.
  const std::vector<float> a(kSize * kSize, 0.5F);
  const std::vector<float> b(kSize * kSize, 0.25F);
  std::vector<float> c(kSize * kSize);
  constexpr size_t kAlignment = 64;
  std::vector<std::byte> buffer(product->scratch_bytes() + kAlignment);
  void* scratch = buffer.data();
  size_t space = buffer.size();
  std::align(kAlignment, product->scratch_bytes(), scratch, space);

  const auto run = [&] { product->run(a.data(), b.data(), nullptr, c.data(), static_cast<std::byte*>(scratch)); };
  run();  // makes this thread's handles and touches the pages
  const Clock::time_point start = Clock::now();
  int64_t runs = 0;
  double elapsed_s = 0;
  do {
    run();
    ++runs;
    elapsed_s = std::chrono::duration<double>(Clock::now() - start).count();
  } while (elapsed_s < burst_s);
  return 2.0 * kSize * kSize * kSize * static_cast<double>(runs) / elapsed_s * 1e-9;
}

}  // namespace lra::engine::onednn
