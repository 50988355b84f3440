// f32 matrix products by oneDNN: the only library products of the fast path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace lra::engine::onednn {

/// c[i] = op(a[i]) op(b[i]) (+ bias) (+ c[i]) for i < batch, where op(a[i]): [m, k], op(b[i]): [k, n], c[i]: [m, n].
/// Strides are in elements; elements of a stored row are neighbours.
struct MatmulSpec {
  int64_t batch = 1;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  int64_t a_row_stride = 0;  // of the stored rows: [m, k], or [k, m] when transpose_a
  int64_t b_row_stride = 0;  // [k, n], or [n, k] when transpose_b
  int64_t c_row_stride = 0;
  int64_t a_batch_stride = 0;
  int64_t b_batch_stride = 0;
  int64_t c_batch_stride = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  bool bias = false;        // adds a row [n]
  bool accumulate = false;  // adds to c instead of overwriting it
  bool operator==(const MatmulSpec&) const = default;
};

/// A product prepared for one spec. Immutable and shared by all workers; runs on the calling thread alone.
class Matmul {
 public:
  /// The prepared product of `requested`: made once a process and spec (about a millisecond), then shared. Thread-safe.
  static std::shared_ptr<const Matmul> find(const MatmulSpec& requested);
  virtual ~Matmul() = default;

  /// Bytes of scratch that each run needs, aligned to 64.
  virtual size_t scratch_bytes() const = 0;
  /// What the library needs for each thread; run() makes it otherwise when the thread first needs it.
  virtual void prepare_calling_thread() const {}
  /// Several threads may run one product at once. A thread's first run of a product makes its handles; later ones do
  /// not allocate (in our code). `bias` may be null when the spec has none. Extents of 0 are allowed: k = 0 is a sum of
  /// nothing.
  virtual void run(const float* a, const float* b, const float* bias, float* c, std::byte* scratch) const = 0;
};

/// Primitives created so far in this process, to show that a step creates none.
uint64_t primitives_created();
/// Prepares the calling thread for every product there is: none of them allocates in a step then.
void prepare_calling_thread();

}  // namespace lra::engine::onednn
