#include "harness/evaluation_bar.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>

#include "harness/progress.h"
#include "harness/signals.h"
#include "harness/stopwatch.h"

namespace lra::harness {

Tally evaluate_with_bar(Learner& learner, const Examples& examples, const std::string& label) {
  constexpr std::chrono::seconds kPatience{1};
  const Clock::time_point start = Clock::now();
  std::mutex mutex;  // the workers report from their own threads
  uint64_t done = 0;
  std::unique_ptr<Progress> bar;
  return learner.evaluate(examples, [&](int64_t done_tokens, int64_t total_tokens) {
    stop_if_interrupted();
    const std::lock_guard lock(mutex);
    done = std::max(done, static_cast<uint64_t>(done_tokens));  // a report may overtake one of another thread
    if (!bar && Clock::now() - start >= kPatience)
      bar = std::make_unique<Progress>(label, static_cast<uint64_t>(total_tokens), "tokens", done);
    if (bar) bar->update(done);
  });
}

}  // namespace lra::harness
