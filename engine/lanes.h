// Worker threads, and the dealing of a batch into gradient lanes that does not depend on them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "engine/team.h"

namespace lra::engine {

/// Deals examples to lanes: sorted by length (longest first, ties by position), then in snake order 0..L-1, L-1..0, …
/// so that lanes get like amounts of work. A pure function of its arguments. Returns the positions of each lane.
std::vector<std::vector<int32_t>> deal(std::span<const int64_t> lengths, int64_t lanes);

/// The same into storage that is reused: `order` and the lists of `lanes` keep their capacity.
void deal_into(std::span<const int64_t> lengths, std::vector<int32_t>& order, std::vector<std::vector<int32_t>>& lanes);

/// A reference to something callable that outlives the call: unlike std::function it never allocates.
template <class... Arguments>
class Job {
 public:
  template <class F>
  Job(const F& callable)  // NOLINT: meant to convert
      : object_(&callable),
        call_([](const void* object, Arguments... arguments) { (*static_cast<const F*>(object))(arguments...); }) {}
  void operator()(Arguments... arguments) const { call_(object_, arguments...); }

 private:
  const void* object_;
  void (*call_)(const void*, Arguments...);
};

/// Where a worker works: in which of the teams that run at once, and its place there.
struct Seat {
  int worker = 0;
  int team = 0;
  Member member;
};

/// A fixed set of threads that run a job together. The calling thread is worker 0. Each worker runs oneDNN on itself
/// alone and flushes denormals.
class Workers {
 public:
  /// Throws: ResourceError when the system has no more threads.
  explicit Workers(int count);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int count() const { return count_; }
  /// Runs job(worker) on every worker and waits for all. Rethrows the first worker's exception. Does not allocate.
  void run(Job<int> job);
  /// Runs body(task, worker) for every task in 0..tasks-1; workers claim tasks in order as they come free.
  void run_tasks(int64_t tasks, Job<int64_t, int> body);
  /// Splits the workers into 1 <= `teams` <= count() teams of neighbours, as equal in size as can be, and runs
  /// job(seat) on every worker. When one member of a team throws, the others stop where they wait for it. Does not
  /// allocate.
  void run_in_teams(int teams, Job<Seat> job);
  /// Runs body(task, seat) for every task in 0..tasks-1: all members of a team call it for the same task, and go on to
  /// the next together. Does not allocate.
  void run_tasks_in_teams(int64_t tasks, int teams, Job<int64_t, Seat> body);

 private:
  void loop(int worker);
  void stop();
  void work(int worker) noexcept;

  int count_;
  std::mutex mutex_;
  std::condition_variable start_, done_;
  const Job<int>* job_ = nullptr;
  uint64_t generation_ = 0;
  int running_ = 0;
  bool stop_ = false;
  std::vector<std::exception_ptr> errors_;
  std::vector<std::unique_ptr<Team>> teams_;
  std::vector<std::jthread> threads_;
};

/// Makes the calling thread treat denormals as zero, in and out (recorded as `denormals_flushed`).
void flush_denormals();

}  // namespace lra::engine
