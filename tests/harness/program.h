// Runs the built program as a user would: arguments in; exit code, standard output and standard error out.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/temporary_directory.h"

namespace lra::testing {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;

inline Arguments operator+(Arguments first, const Arguments& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

struct Outcome {
  int exit_code = -1;  // of a normal end
  int signal = 0;      // that ended it otherwise
  std::string out;
  std::string err;
  nlohmann::json json() const {
    nlohmann::json parsed = nlohmann::json::parse(out, nullptr, /*allow_exceptions=*/false);
    EXPECT_FALSE(parsed.is_discarded()) << "not JSON: " << out.substr(0, 300);
    return parsed;
  }
};

/// A process that is running; killed if it still does at the end of the test.
class Program {
 public:
  struct Setting {
    fs::path working_directory;
    std::string standard_output = {};  // instead of being captured
  };

  Program(const Arguments& arguments, const Setting& setting) : repro_(LRA_BINARY) {
    for (const std::string& argument : arguments) repro_ += " '" + argument + "'";
    const fs::path stem = directory_ / "std";
    const std::string out = setting.standard_output.empty() ? stem.string() + "out" : setting.standard_output;
    const std::string err = stem.string() + "err", cache = (directory_ / "cache").string();
    std::vector<char*> argv{const_cast<char*>(LRA_BINARY)};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      const int out_fd = ::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
      const int err_fd = ::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
      const int in_fd = ::open("/dev/null", O_RDONLY);
      const bool ready = ::dup2(in_fd, 0) == 0 && ::dup2(out_fd, 1) == 1 && ::dup2(err_fd, 2) == 2 &&
                         ::chdir(setting.working_directory.c_str()) == 0 && ::unsetenv("LRA_DATA") == 0 &&
                         ::setenv("XDG_CACHE_HOME", cache.c_str(), 1) == 0;
      if (ready) ::execv(LRA_BINARY, argv.data());
      ::_exit(127);
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    if (!ended_) finish(SIGKILL);
  }

  bool is_running() {
    if (!ended_) ended_ = ::waitpid(pid_, &status_, WNOHANG) != 0;
    return !ended_;
  }

  /// Waits for `condition`; false when the process ends before it holds, or nothing happens for a minute.
  bool wait_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!condition()) {
      if (!is_running() || std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }

  /// Sends `signal_number` (0: none) and waits for the end.
  Outcome finish(int signal_number = 0, std::chrono::seconds limit = std::chrono::seconds(120)) {
    if (signal_number != 0 && is_running()) ::kill(pid_, signal_number);
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (is_running()) {
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << "still running after " << limit.count() << " s: " << repro_;
        ::kill(pid_, SIGKILL);
        ended_ = ::waitpid(pid_, &status_, 0) != 0;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return {.exit_code = WIFEXITED(status_) ? WEXITSTATUS(status_) : -1,
            .signal = WIFSIGNALED(status_) ? WTERMSIG(status_) : 0,
            .out = read_bytes(directory_ / "stdout"),
            .err = read_bytes(directory_ / "stderr")};
  }

  std::string err_so_far() const { return read_bytes(directory_ / "stderr"); }
  const std::string& repro() const { return repro_; }

 private:
  TemporaryDirectory directory_;
  std::string repro_;
  pid_t pid_ = 0;
  int status_ = 0;
  bool ended_ = false;
};

/// Every file below `directory` with its content, lock files aside: to show that nothing changed.
inline std::map<std::string, std::string> contents_of(const fs::path& directory) {
  std::map<std::string, std::string> contents;
  if (!fs::exists(directory)) return contents;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.path().filename() == ".lock") continue;
    contents[entry.path().lexically_relative(directory)] = entry.is_regular_file() ? read_bytes(entry.path()) : "";
  }
  return contents;
}

inline size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// One message with what to do, nothing on standard output, and the documented exit code.
inline void expect_refused(const Outcome& outcome, int exit_code, const std::vector<std::string>& parts) {
  EXPECT_EQ(outcome.exit_code, exit_code) << "signal " << outcome.signal;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(count_of(outcome.err, "error:"), 1U);
  EXPECT_THAT(outcome.err, ::testing::ContainsRegex("hint: [^ ]"));
  for (const std::string& part : parts) EXPECT_THAT(outcome.err, ::testing::HasSubstr(part));
}

/// A directory of its own for each test, in which the program runs.
class ProgramTest : public ::testing::Test {
 protected:
  fs::path path(const std::string& name) const { return directory_ / name; }
  std::string text(const std::string& name) const { return path(name).string(); }

  Program::Setting setting() const { return {.working_directory = directory_.path()}; }

  Outcome run(const Arguments& arguments, const std::string& standard_output = "") const {
    Program program(arguments, {.working_directory = directory_.path(), .standard_output = standard_output});
    return program.finish();
  }
  void refuses(const Arguments& arguments, int exit_code, const std::vector<std::string>& parts) const {
    Program program(arguments, setting());
    SCOPED_TRACE(program.repro());
    expect_refused(program.finish(), exit_code, parts);
  }

  /// 200 short expressions to train on, 40 to validate, 50 to test, in `data`.
  void make_data(const std::string& seed = "0", const std::string& name = "data") const {
    const Outcome made =
        run({"data", "generate", "listops", "--data", text(name), "--seed", seed, "--train", "200", "--validation",
             "40", "--test", "50", "--set", "task.min_length=20", "--set", "task.max_length=100"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }

  /// A training of less than a second; later arguments come on top.
  Arguments train(const Arguments& more = {}, const std::string& out = "runs") const {
    const Arguments base = {
        "train",         "--task", "listops",           "--attention", "softmax", "--preset",  "tiny", "--length",
        "100",           "--data", text("data"),        "--out",       text(out), "--threads", "2",    "--set",
        "train.steps=6", "--set",  "train.eval_every=3"};
    return base + more;
  }

  /// The only run directory below `out`.
  fs::path run_directory(const std::string& out = "runs") const {
    std::vector<fs::path> found;
    if (fs::exists(path(out)))
      for (const auto& entry : fs::recursive_directory_iterator(path(out)))
        if (entry.path().filename() == "config.json") found.push_back(entry.path().parent_path());
    EXPECT_EQ(found.size(), 1U) << "run directories below " << path(out);
    return found.size() == 1 ? found[0] : fs::path("/nonexistent");
  }

  const TemporaryDirectory directory_;
};

inline nlohmann::json json_of(const fs::path& file) {
  nlohmann::json parsed = nlohmann::json::parse(read_bytes(file), nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(parsed.is_discarded()) << file << " is not JSON";
  return parsed;
}

/// What two equal runs must agree on: everything but timings and where they ran.
inline nlohmann::json without_timings(nlohmann::json record) {
  for (const char* key : {"speed", "mfu", "memory", "wall_s", "threads", "environment"}) {
    EXPECT_TRUE(record.contains(key)) << key;
    record.erase(key);
  }
  return record;
}

}  // namespace lra::testing
