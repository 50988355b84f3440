// Threads that run one plan together.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>

namespace lra::engine {

/// Thrown in the other members of a team when one of them has failed.
struct TeamBroken final : std::exception {
  const char* what() const noexcept override { return "another thread of the team failed"; }
};

/// What the members of a team share. Waiting spins for a while, then yields the processor.
class Team {
 public:
  /// For teams of up to `capacity` members.
  explicit Team(int capacity);

  /// Makes it a team of `members` that have reported nothing. Nobody may be waiting.
  void reset(int members);
  int members() const { return members_; }

  /// Waits until every member has come here; what they have reported is forgotten. Throws: TeamBroken.
  void meet();
  /// Says that `member` has done so much of its work, in units of the members' own choice; what it wrote before is
  /// seen by those that wait for it.
  void report(int member, int64_t done);
  /// Waits until `member` has reported at least `done`. Throws: TeamBroken.
  void wait_for(int member, int64_t done) const;
  /// Wakes whoever waits, now or later, with TeamBroken.
  void break_up() noexcept { broken_.store(true, std::memory_order_release); }

  /// Written by the first member, read by the others after meeting.
  int64_t agreed = 0;

 private:
  struct alignas(64) Progress {
    std::atomic<int64_t> done{0};
  };
  int members_ = 1;
  std::unique_ptr<Progress[]> progress_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint64_t> meetings_{0};
  std::atomic<bool> broken_{false};
};

/// One thread's place in a team; a thread without a team is the only member of its own.
struct Member {
  Team* team = nullptr;
  int index = 0;
  int count = 1;

  void meet() const {
    if (team != nullptr) team->meet();
  }
  /// The number that the first member chooses. Members meet at least once between two calls.
  template <class Choose>
  int64_t agree(Choose&& choose) const {
    if (team == nullptr) return choose();
    if (index == 0) team->agreed = choose();
    team->meet();
    return team->agreed;
  }
  void report(int64_t done) const {
    if (team != nullptr) team->report(index, done);
  }
  void wait_for(int member, int64_t done) const {
    if (team != nullptr && member != index) team->wait_for(member, done);
  }
};

/// Runs `part(i)` for the parts of 0..parts-1 that are this member's: any of them may run at once.
template <class Part>
void for_own_parts(const Member& member, int64_t parts, Part&& part) {
  for (int64_t i = member.index; i < parts; i += member.count) part(i);
}

}  // namespace lra::engine
