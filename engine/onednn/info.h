// What oneDNN is and what it can do on this machine.
#pragma once

#include <string>

namespace lra::engine::onednn {

/// "2.6.3".
std::string version();
/// The instruction set oneDNN dispatches to, for example "avx512_core"; at most $LRA_MAX_ISA (engine/isa.h).
/// Throws UsageError when that names no set.
std::string effective_isa();
/// Makes the calling thread run oneDNN on itself alone. Every worker calls it once before its first product.
void use_calling_thread_only();

/// Runs 512x512x512 f32 products on the calling thread for at least `burst_s` and returns GFLOP/s of this thread.
double measure_sgemm_gflops(double burst_s);

}  // namespace lra::engine::onednn
