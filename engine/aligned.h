// Arrays that begin at a cache line: matrix products lose up to a fifth to operands that straddle lines.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace lra::engine {

inline constexpr std::size_t kCacheLineBytes = 64;

template <class T>
struct AlignedAllocator {
  using value_type = T;

  AlignedAllocator() = default;
  template <class U>
  explicit AlignedAllocator(const AlignedAllocator<U>&) {}

  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{kCacheLineBytes}));
  }
  void deallocate(T* data, std::size_t) noexcept { ::operator delete (data, std::align_val_t{kCacheLineBytes}); }
  bool operator==(const AlignedAllocator&) const = default;
};

template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

}  // namespace lra::engine
