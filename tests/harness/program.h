// Runs the built program as a user would: arguments in; exit code, standard output and standard error out.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/temporary_directory.h"

namespace lra::testing {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;

Arguments operator+(Arguments first, const Arguments& second);

struct Outcome {
  int exit_code = -1;  // of a normal end
  int signal = 0;      // that ended it otherwise
  std::string out;
  std::string err;
  nlohmann::json json() const;
};

/// A process that is running; killed if it still does at the end of the test.
class Program {
 public:
  struct Setting {
    fs::path working_directory;
    std::string standard_output = {};  // instead of being captured
  };

  Program(const Arguments& arguments, const Setting& setting);
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program();

  bool is_running();

  /// Waits for `condition`; false when the process ends before it holds, or nothing happens for a minute.
  bool wait_until(const std::function<bool()>& condition);

  /// Sends `signal_number` (0: none) and waits for the end.
  Outcome finish(int signal_number = 0, std::chrono::seconds limit = std::chrono::seconds(120));

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
std::map<std::string, std::string> contents_of(const fs::path& directory);

size_t count_of(const std::string& text, const std::string& part);

/// One message with what to do, nothing on standard output, and the documented exit code.
void expect_refused(const Outcome& outcome, int exit_code, const std::vector<std::string>& parts);

/// A directory of its own for each test, in which the program runs.
class ProgramTest : public ::testing::Test {
 protected:
  fs::path path(const std::string& name) const { return directory_ / name; }
  std::string text(const std::string& name) const { return path(name).string(); }

  Program::Setting setting() const { return {.working_directory = directory_.path()}; }

  Outcome run(const Arguments& arguments, const std::string& standard_output = "") const;
  void refuses(const Arguments& arguments, int exit_code, const std::vector<std::string>& parts) const;

  /// 200 short expressions to train on, 40 to validate, 50 to test, in `data`.
  void make_data(const std::string& seed = "0", const std::string& name = "data") const;
  /// The same with 40,000 to validate and to test: evaluations that take longer than a busy machine needs to notice.
  void make_much_to_evaluate() const;

  /// A training of less than a second; later arguments come on top.
  Arguments train(const Arguments& more = {}, const std::string& out = "runs") const;

  /// Starts a training into `out`, sends `signal_number` once `lines` events are logged, and returns how it ended.
  Outcome interrupted_after(size_t lines, int signal_number, const Arguments& arguments, const std::string& out) const;

  /// The only run directory below `out`.
  fs::path run_directory(const std::string& out = "runs") const;

  const TemporaryDirectory directory_;
};

nlohmann::json json_of(const fs::path& file);

/// What two equal runs must agree on: everything but timings and where they ran.
nlohmann::json without_timings(nlohmann::json record);

}  // namespace lra::testing
