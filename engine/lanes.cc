#include "engine/lanes.h"

#include <fmt/format.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <atomic>
#include <numeric>
#include <system_error>

#include "engine/errors.h"
#include "engine/onednn/info.h"

namespace lra::engine {

void deal_into(std::span<const int64_t> lengths, std::vector<int32_t>& order,
               std::vector<std::vector<int32_t>>& lanes) {
  order.resize(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    const int64_t length_a = lengths[static_cast<size_t>(a)], length_b = lengths[static_cast<size_t>(b)];
    return length_a != length_b ? length_a > length_b : a < b;
  });
  for (std::vector<int32_t>& lane : lanes) lane.clear();
  const size_t count = lanes.size();
  for (size_t i = 0; i < order.size(); ++i) {
    const size_t round = i / count, place = i % count;
    lanes[round % 2 == 0 ? place : count - 1 - place].push_back(order[i]);
  }
}

std::vector<std::vector<int32_t>> deal(std::span<const int64_t> lengths, int64_t lanes) {
  std::vector<int32_t> order;
  std::vector<std::vector<int32_t>> dealt(static_cast<size_t>(lanes));
  deal_into(lengths, order, dealt);
  return dealt;
}

void flush_denormals() {
#if defined(__SSE2__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // flush-to-zero and denormals-are-zero
#endif
}

Workers::Workers(int count) : count_(count), errors_(static_cast<size_t>(count)) {
  onednn::use_calling_thread_only();
  flush_denormals();
  for (int team = 0; team < count; ++team) teams_.push_back(std::make_unique<Team>(count));
  try {
    for (int worker = 1; worker < count; ++worker) threads_.emplace_back([this, worker] { loop(worker); });
  } catch (const std::system_error& error) {
    stop();
    throw ResourceError(
        fmt::format("[workers] cannot start thread {} of {}: {}", threads_.size() + 2, count, error.what()),
        "lower --threads, or raise the limit on processes (ulimit -u)");
  }
}

Workers::~Workers() { stop(); }

void Workers::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
}

void Workers::work(int worker) noexcept {
  try {
    (*job_)(worker);
  } catch (const TeamBroken&) {
    // whoever broke the team says why
  } catch (...) {
    errors_[static_cast<size_t>(worker)] = std::current_exception();
  }
}

void Workers::loop(int worker) {
  onednn::use_calling_thread_only();
  flush_denormals();
  uint64_t seen = 0;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      start_.wait(lock, [&] { return stop_ || generation_ != seen; });
      if (stop_) return;
      seen = generation_;
    }
    work(worker);
    const std::lock_guard lock(mutex_);
    if (--running_ == 0) done_.notify_one();
  }
}

void Workers::run(Job<int> job) {
  {
    const std::lock_guard lock(mutex_);
    job_ = &job;
    running_ = count_ - 1;
    ++generation_;
  }
  start_.notify_all();
  work(0);
  {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return running_ == 0; });
  }
  for (std::exception_ptr& error : errors_) {
    if (!error) continue;
    const std::exception_ptr first = error;
    for (std::exception_ptr& other : errors_) other = nullptr;
    std::rethrow_exception(first);
  }
}

void Workers::run_tasks(int64_t tasks, Job<int64_t, int> body) {
  std::atomic<int64_t> next{0};
  run([&](int worker) {
    for (int64_t task = next++; task < tasks; task = next++) body(task, worker);
  });
}

void Workers::run_in_teams(int teams, Job<Seat> job) {
  LRA_CHECK(teams >= 1 && teams <= count_, "as many teams as there are workers at most, and one at least");
  const auto first_of = [&](int team) { return team * count_ / teams; };
  for (int team = 0; team < teams; ++team)
    teams_[static_cast<size_t>(team)]->reset(first_of(team + 1) - first_of(team));
  run([&](int worker) {
    int index = 0;
    while (first_of(index + 1) <= worker) ++index;
    Team& team = *teams_[static_cast<size_t>(index)];
    const bool alone = team.members() == 1;
    const Member member{.team = alone ? nullptr : &team, .index = worker - first_of(index), .count = team.members()};
    try {
      job({.worker = worker, .team = index, .member = member});
    } catch (...) {
      team.break_up();
      throw;
    }
  });
}

void Workers::run_tasks_in_teams(int64_t tasks, int teams, Job<int64_t, Seat> body) {
  std::atomic<int64_t> next{0};
  run_in_teams(teams, [&](Seat seat) {
    for (;;) {
      const int64_t task = seat.member.agree([&] { return next++; });
      if (task >= tasks) return;
      body(task, seat);
      seat.member.meet();
    }
  });
}

}  // namespace lra::engine
