// Dealing batches to lanes, and workers that finish whatever happens in a job.
#include "engine/lanes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>

namespace lra::engine {
namespace {

std::vector<int64_t> random_lengths(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int64_t> lengths(count);
  for (int64_t& length : lengths) length = 500 + static_cast<int64_t>(random() % 1500);
  return lengths;
}

TEST(DealTest, EveryExampleGoesToOneLane) {
  for (const size_t count : {0, 1, 3, 8, 32, 33})
    for (const int64_t lanes : {1, 2, 5, 8, 40}) {
      const auto dealt = deal(random_lengths(count, 1), lanes);
      ASSERT_EQ(dealt.size(), static_cast<size_t>(lanes));
      std::vector<int32_t> all;
      size_t fewest = count, most = 0;
      for (const auto& lane : dealt) {
        all.insert(all.end(), lane.begin(), lane.end());
        fewest = std::min(fewest, lane.size());
        most = std::max(most, lane.size());
      }
      std::sort(all.begin(), all.end());
      std::vector<int32_t> expected(count);
      std::iota(expected.begin(), expected.end(), 0);
      EXPECT_EQ(all, expected);
      EXPECT_LE(most - fewest, 1U);
    }
}

TEST(DealTest, LongestFirstInSnakeOrderTiesByPosition) {
  const std::vector<int64_t> lengths = {5, 9, 5, 7, 1, 9};
  EXPECT_EQ(deal(lengths, 3), (std::vector<std::vector<int32_t>>{{1, 4}, {5, 2}, {3, 0}}));
}

TEST(DealTest, LanesGetLikeAmountsOfWork) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<int64_t> lengths = random_lengths(32, seed);
    const double mean = static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), int64_t{0})) / 8;
    for (const auto& lane : deal(lengths, 8)) {
      double work = 0;
      for (const int32_t position : lane) work += static_cast<double>(lengths[static_cast<size_t>(position)]);
      EXPECT_LT(std::fabs(work - mean) / mean, 0.15);
    }
  }
}

TEST(DealTest, DependsOnTheLengthsAloneNotOnWhatTheStorageHeld) {
  std::vector<int32_t> order;
  std::vector<std::vector<int32_t>> lanes(8);
  deal_into(random_lengths(50, 3), order, lanes);
  deal_into(random_lengths(32, 4), order, lanes);
  EXPECT_EQ(lanes, deal(random_lengths(32, 4), 8));
  EXPECT_EQ(deal(random_lengths(32, 4), 8), deal(random_lengths(32, 4), 8));
}

TEST(WorkersTest, EveryWorkerRunsTheJobOnceAndTheCallerIsWorkerZero) {
  for (const int count : {1, 2, 5}) {
    Workers workers(count);
    EXPECT_EQ(workers.count(), count);
    std::vector<std::thread::id> threads(static_cast<size_t>(count));
    std::atomic<int> calls{0};
    workers.run([&](int worker) {
      threads[static_cast<size_t>(worker)] = std::this_thread::get_id();
      ++calls;
    });
    EXPECT_EQ(calls, count);
    EXPECT_EQ(threads[0], std::this_thread::get_id());
    std::sort(threads.begin(), threads.end());
    EXPECT_EQ(std::adjacent_find(threads.begin(), threads.end()), threads.end());
  }
}

TEST(WorkersTest, EveryTaskRunsOnceWhetherThereAreMoreTasksOrMoreWorkers) {
  for (const int count : {1, 2, 7})
    for (const int64_t tasks : {0, 1, 3, 100}) {
      Workers workers(count);
      for (int round = 0; round < 20; ++round) {
        std::vector<std::atomic<int>> done(static_cast<size_t>(tasks));
        workers.run_tasks(tasks, [&](int64_t task, int worker) {
          EXPECT_LT(worker, count);
          ++done[static_cast<size_t>(task)];
        });
        for (const auto& times : done) ASSERT_EQ(times, 1);
      }
    }
}

TEST(WorkersTest, AnExceptionIsRethrownAfterTheOthersHaveFinished) {
  Workers workers(3);
  for (int bad = 0; bad < 3; ++bad) {
    std::atomic<int> finished{0};
    const auto job = [&](int worker) {
      if (worker == bad) throw std::runtime_error("worker " + std::to_string(worker));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      ++finished;
    };
    try {
      workers.run(job);
      FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(error.what(), "worker " + std::to_string(bad));
    }
    EXPECT_EQ(finished, 2);
  }
  std::atomic<int> calls{0};
  workers.run([&](int) { ++calls; });  // the old exception is forgotten
  EXPECT_EQ(calls, 3);
}

TEST(WorkersTest, OfSeveralExceptionsTheFirstWorkersIsThrownAndAllAreForgotten) {
  Workers workers(4);
  try {
    workers.run([](int worker) { throw worker; });
    FAIL() << "nothing was thrown";
  } catch (const int worker) {
    EXPECT_EQ(worker, 0);
  }
  EXPECT_NO_THROW(workers.run([](int) {}));
  EXPECT_THROW(workers.run_tasks(100,
                                 [](int64_t task, int) {
                                   if (task % 3 == 0) throw std::runtime_error("task");
                                 }),
               std::runtime_error);
  EXPECT_NO_THROW(workers.run([](int) {}));
}

TEST(WorkersTest, ManyShortJobsNeitherHangNorGetLost) {
  Workers workers(3);
  std::atomic<int64_t> sum{0};
  for (int round = 0; round < 5000; ++round) workers.run([&](int worker) { sum += worker + 1; });
  EXPECT_EQ(sum, 5000 * 6);
}

TEST(TeamsTest, EveryMemberRunsItsTeamsTasksAndAllTasksAreRunOnce) {
  for (const int count : {1, 2, 5})
    for (int teams = 1; teams <= count; ++teams)
      for (const int64_t tasks : {0, 1, 4, 50}) {
        Workers workers(count);
        std::vector<std::atomic<int>> calls(static_cast<size_t>(tasks)), expected(static_cast<size_t>(tasks));
        workers.run_tasks_in_teams(tasks, teams, [&](int64_t task, Seat seat) {
          EXPECT_LT(seat.team, teams);
          EXPECT_LT(seat.member.index, seat.member.count);
          EXPECT_GE(seat.member.count, count / teams);
          ++calls[static_cast<size_t>(task)];
          expected[static_cast<size_t>(task)] = seat.member.count;
        });
        for (size_t task = 0; task < calls.size(); ++task) ASSERT_EQ(calls[task], expected[task]);
      }
}

TEST(TeamsTest, ThereIsAtLeastOneTeamAndAWorkerForEach) {
  Workers workers(2);
  for (const int teams : {0, -1, 3}) EXPECT_ANY_THROW(workers.run_in_teams(teams, [](Seat) {})) << teams;
}

TEST(TeamsTest, MembersMeetAndTakeTurns) {
  constexpr int kMembers = 4, kTurns = 1000;
  Workers workers(kMembers);
  std::vector<int> order;  // guarded by the turns alone
  workers.run_in_teams(1, [&](Seat seat) {
    const Member& member = seat.member;
    for (int turn = member.index; turn < kTurns; turn += kMembers) {
      if (turn > 0) member.wait_for((turn - 1) % kMembers, (turn - 1) / kMembers + 1);
      order.push_back(turn);
      member.report(turn / kMembers + 1);
    }
    member.meet();
    EXPECT_EQ(order.size(), static_cast<size_t>(kTurns));
    member.meet();
    if (member.index == 2) order.clear();
    member.meet();
    EXPECT_TRUE(order.empty());
    const int64_t agreed = member.agree([&] { return int64_t{17}; });
    EXPECT_EQ(agreed, 17);
  });
}

TEST(TeamsTest, MeetingsForgetReportsAndNeverMixRounds) {
  constexpr int kMembers = 5, kRounds = 3000;  // more members than most machines have processors
  Workers workers(kMembers);
  std::vector<std::atomic<int>> at(kMembers);
  workers.run_in_teams(1, [&](Seat seat) {
    const Member& member = seat.member;
    const int next = (member.index + 1) % kMembers;
    for (int round = 1; round <= kRounds; ++round) {
      at[static_cast<size_t>(member.index)] = round;
      member.report(1);
      member.wait_for(next, 1);  // of this round: the last meeting has forgotten the others
      ASSERT_EQ(at[static_cast<size_t>(next)], round);
      member.meet();
    }
  });
}

TEST(TeamsTest, WhenOneMemberThrowsTheOthersDoNotWaitForeverAndItsErrorIsTold) {
  for (int bad = 0; bad < 3; ++bad) {
    Workers workers(3);
    for (const bool meeting : {false, true}) {
      try {
        workers.run_in_teams(1, [&](Seat seat) {
          if (seat.worker == bad) throw std::runtime_error("worker " + std::to_string(bad));
          meeting ? seat.member.meet() : seat.member.wait_for(bad, 1);
          ADD_FAILURE() << "was not stopped";
        });
        FAIL() << "nothing was thrown";
      } catch (const std::runtime_error& error) {
        EXPECT_EQ(error.what(), "worker " + std::to_string(bad));
      }
    }
    int calls = 0;
    workers.run_in_teams(1, [&](Seat seat) {  // the team is whole again
      seat.member.meet();
      if (seat.member.index == 0) ++calls;
    });
    EXPECT_EQ(calls, 1);
  }
}

TEST(WorkersTest, DenormalsAreFlushedOnEveryWorker) {
  Workers workers(3);
  std::vector<float> products(3, 1.0F);
  workers.run([&](int worker) {
    volatile float tiny = std::numeric_limits<float>::min();
    products[static_cast<size_t>(worker)] = tiny * 0.5F;
  });
  for (const float product : products) EXPECT_EQ(product, 0.0F);
}

}  // namespace
}  // namespace lra::engine
