#include "tests/harness/program.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

namespace lra::testing {

Arguments operator+(Arguments first, const Arguments& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

nlohmann::json Outcome::json() const {
  nlohmann::json parsed = nlohmann::json::parse(out, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(parsed.is_discarded()) << "not JSON: " << out.substr(0, 300);
  return parsed;
}

Program::Program(const Arguments& arguments, const Setting& setting) : repro_(LRA_BINARY) {
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

Program::~Program() {
  if (!ended_) finish(SIGKILL);
}

bool Program::is_running() {
  if (!ended_) ended_ = ::waitpid(pid_, &status_, WNOHANG) != 0;
  return !ended_;
}

bool Program::wait_until(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (!is_running() || std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

Outcome Program::finish(int signal_number, std::chrono::seconds limit) {
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

std::map<std::string, std::string> contents_of(const fs::path& directory) {
  std::map<std::string, std::string> contents;
  if (!fs::exists(directory)) return contents;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.path().filename() == ".lock") continue;
    contents[entry.path().lexically_relative(directory)] = entry.is_regular_file() ? read_bytes(entry.path()) : "";
  }
  return contents;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

void expect_refused(const Outcome& outcome, int exit_code, const std::vector<std::string>& parts) {
  EXPECT_EQ(outcome.exit_code, exit_code) << "signal " << outcome.signal;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(count_of(outcome.err, "error:"), 1U);
  EXPECT_THAT(outcome.err, ::testing::ContainsRegex("hint: [^ ]"));
  for (const std::string& part : parts) EXPECT_THAT(outcome.err, ::testing::HasSubstr(part));
}

Outcome ProgramTest::run(const Arguments& arguments, const std::string& standard_output) const {
  Program program(arguments, {.working_directory = directory_.path(), .standard_output = standard_output});
  return program.finish();
}

void ProgramTest::refuses(const Arguments& arguments, int exit_code, const std::vector<std::string>& parts) const {
  Program program(arguments, setting());
  SCOPED_TRACE(program.repro());
  expect_refused(program.finish(), exit_code, parts);
}

void ProgramTest::make_much_to_evaluate() const {
  const Outcome made = run({"data", "generate", "listops", "--data", text("data"), "--train", "200", "--validation",
                            "40000", "--test", "40000", "--set", "task.min_length=20", "--set", "task.max_length=100"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
}

Outcome ProgramTest::interrupted_after(size_t lines, int signal_number, const Arguments& arguments,
                                       const std::string& out) const {
  Program program(arguments, setting());
  EXPECT_TRUE(program.wait_until([&] {
    if (!fs::exists(path(out))) return false;
    for (const auto& entry : fs::recursive_directory_iterator(path(out)))
      if (entry.path().filename() == "metrics.jsonl") return count_of(read_bytes(entry.path()), "\n") >= lines;
    return false;
  })) << program.repro();
  return program.finish(signal_number);
}

void ProgramTest::make_data(const std::string& seed, const std::string& name) const {
  const Outcome made =
      run({"data", "generate", "listops", "--data", text(name), "--seed", seed, "--train", "200", "--validation", "40",
           "--test", "50", "--set", "task.min_length=20", "--set", "task.max_length=100"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
}

Arguments ProgramTest::train(const Arguments& more, const std::string& out) const {
  const Arguments base = {
      "train",         "--task", "listops",           "--attention", "softmax", "--preset",  "tiny", "--length",
      "100",           "--data", text("data"),        "--out",       text(out), "--threads", "2",    "--set",
      "train.steps=6", "--set",  "train.eval_every=3"};
  return base + more;
}

fs::path ProgramTest::run_directory(const std::string& out) const {
  std::vector<fs::path> found;
  if (fs::exists(path(out)))
    for (const auto& entry : fs::recursive_directory_iterator(path(out)))
      if (entry.path().filename() == "config.json") found.push_back(entry.path().parent_path());
  EXPECT_EQ(found.size(), 1U) << "run directories below " << path(out);
  return found.size() == 1 ? found[0] : fs::path("/nonexistent");
}

nlohmann::json json_of(const fs::path& file) {
  nlohmann::json parsed = nlohmann::json::parse(read_bytes(file), nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(parsed.is_discarded()) << file << " is not JSON";
  return parsed;
}

nlohmann::json without_timings(nlohmann::json record) {
  for (const char* key : {"speed", "mfu", "memory", "wall_s", "threads", "environment"}) {
    EXPECT_TRUE(record.contains(key)) << key;
    record.erase(key);
  }
  return record;
}

}  // namespace lra::testing
