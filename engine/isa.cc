#include "engine/isa.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <vector>

#include "engine/errors.h"

namespace lra::engine {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"sse2", "avx2", "avx512"};
constexpr const char* kVariable = "LRA_MAX_ISA";

std::string_view requested() {
  const char* text = std::getenv(kVariable);
  return text == nullptr ? "" : text;
}

std::optional<Isa> isa_named(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Isa>(found - kNames.begin());
}

}  // namespace

std::string_view name_of(Isa isa) { return kNames[static_cast<size_t>(isa)]; }

std::optional<Isa> isa_limit() {
  const std::string_view name = requested();
  if (name.empty()) return std::nullopt;
  const std::optional<Isa> limit = isa_named(name);
  if (!limit) {
    throw UsageError(fmt::format("{}={} is no instruction set", kVariable, name),
                     suggest(name, std::vector<std::string>(kNames.begin(), kNames.end())));
  }
  return limit;
}

#ifdef LRA_KERNEL_SETS

namespace {

/// What every flag of cmake/kernel_sets.cmake asks of the processor (and of the system, which keeps the registers).
Isa best_of_processor() {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (avx2 && avx512) return Isa::avx512;
  return avx2 ? Isa::avx2 : Isa::sse2;
}

Isa chosen = Isa::sse2;  // as the slots are, until lra_choose_kernels() has run

}  // namespace

// Made by cmake/kernel_sets.sh: where calls of kernels jump to, and what a set would have them jump to.
extern "C" {
using KernelAddress = const void*;
extern KernelAddress lra_kernel_slots[];
extern const KernelAddress lra_kernels_sse2[], lra_kernels_avx2[], lra_kernels_avx512[];
extern const size_t lra_kernel_count;
void lra_choose_kernels();
}

/// Runs before any other code of the program that could call a kernel. It cannot report: with an unknown limit the
/// kernels stay those of SSE2, and kernel_isa() throws.
void lra_choose_kernels() {
  const std::string_view name = requested();
  const Isa most = name.empty() ? Isa::avx512 : isa_named(name).value_or(Isa::sse2);
  chosen = std::min(most, best_of_processor());
  const std::array<const KernelAddress*, 3> sets = {lra_kernels_sse2, lra_kernels_avx2, lra_kernels_avx512};
  std::copy_n(sets[static_cast<size_t>(chosen)], lra_kernel_count, lra_kernel_slots);
}

Isa kernel_isa() {
  static_cast<void>(isa_limit());
  return chosen;
}

std::string_view kernel_flags() {
  constexpr std::array<std::string_view, 3> kFlags = {LRA_KERNEL_FLAGS_SSE2, LRA_KERNEL_FLAGS_AVX2,
                                                      LRA_KERNEL_FLAGS_AVX512};
  return kFlags[static_cast<size_t>(chosen)];
}

#else

Isa kernel_isa() {
#if defined(__AVX512F__) && defined(__AVX512CD__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && \
    defined(__AVX512VL__)
  constexpr Isa kCompiled = Isa::avx512;
#elif defined(__AVX2__) && defined(__FMA__)
  constexpr Isa kCompiled = Isa::avx2;
#else
  constexpr Isa kCompiled = Isa::sse2;
#endif
  if (isa_limit().value_or(kCompiled) < kCompiled) {
    throw UsageError(
        fmt::format("{}={}: this program was compiled for {} only", kVariable, requested(), name_of(kCompiled)),
        "build the preset `portable`, whose kernels are chosen at start");
  }
  return kCompiled;
}

std::string_view kernel_flags() { return ""; }

#endif

}  // namespace lra::engine
