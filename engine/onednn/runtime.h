// The one oneDNN engine of the process and the stream of the calling thread; private to this folder.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

namespace lra::engine::onednn {

/// The CPU engine, made at the first call and kept to the end of the process.
const dnnl::engine& cpu_engine();

/// An in-order stream that belongs to the calling thread.
dnnl::stream& thread_stream();

}  // namespace lra::engine::onednn
