#include "engine/team.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <thread>

namespace lra::engine {
namespace {

/// Calls `ready` until it holds. Members wait microseconds for each other unless there are more threads than
/// processors: then the one that is waited for may need this processor.
template <class Ready>
void wait_until(const std::atomic<bool>& broken, Ready&& ready) {
  constexpr int kSpins = 4096;
  for (int spins = 0; !ready();) {
    if (broken.load(std::memory_order_acquire)) throw TeamBroken();
    if (spins < kSpins) {
      ++spins;
#if defined(__SSE2__)
      _mm_pause();
#endif
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace

Team::Team(int capacity) : progress_(std::make_unique<Progress[]>(static_cast<size_t>(capacity))) {}

void Team::reset(int members) {
  members_ = members;
  arrived_.store(0, std::memory_order_relaxed);
  broken_.store(false, std::memory_order_relaxed);
  for (int i = 0; i < members; ++i) progress_[static_cast<size_t>(i)].done.store(0, std::memory_order_relaxed);
}

void Team::meet() {
  const uint64_t meeting = meetings_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
    arrived_.store(0, std::memory_order_relaxed);
    for (int i = 0; i < members_; ++i) progress_[static_cast<size_t>(i)].done.store(0, std::memory_order_relaxed);
    meetings_.store(meeting + 1, std::memory_order_release);
    return;
  }
  wait_until(broken_, [&] { return meetings_.load(std::memory_order_acquire) != meeting; });
}

void Team::report(int member, int64_t done) {
  progress_[static_cast<size_t>(member)].done.store(done, std::memory_order_release);
}

void Team::wait_for(int member, int64_t done) const {
  const std::atomic<int64_t>& progress = progress_[static_cast<size_t>(member)].done;
  wait_until(broken_, [&] { return progress.load(std::memory_order_acquire) >= done; });
}

}  // namespace lra::engine
