// Which instruction set the kernels use: the one they were compiled for, or in a portable build the best that the
// processor has, chosen once at start.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace lra::engine {

/// Sets that kernels are compiled for, each with all of the one before. `avx2` includes FMA and BMI; `avx512` is F, CD,
/// BW, DQ and VL.
enum class Isa : uint8_t { sse2, avx2, avx512 };

/// "sse2", "avx2" or "avx512".
std::string_view name_of(Isa isa);

/// The most that $LRA_MAX_ISA allows kernels and oneDNN; nothing when it is unset or empty.
/// Throws UsageError when it names no set.
std::optional<Isa> isa_limit();

/// The set whose kernels run in this process. Throws UsageError when $LRA_MAX_ISA names no set, or, in a build for one
/// processor, a lower one than the build's.
Isa kernel_isa();

/// Compiler flags of these kernels beyond those of the whole program.
std::string_view kernel_flags();

}  // namespace lra::engine
