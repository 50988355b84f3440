// The three families of errors, each with what happened, where, the offending value and what to do next.
//
// `main` is the only place that turns them into exit codes. A diverged run is a result, not an exception.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lra {

/// Exit codes of the program (the contract of scripts that call it).
enum ExitCode : int {
  kExitOk = 0,
  kExitGateFailed = 1,
  kExitUsage = 2,
  kExitData = 3,
  kExitRunFailed = 4,
  kExitResources = 5,
  kExitInternal = 70,
  kExitInterrupted = 130,
  kExitTerminated = 143,
};

/// Base of the errors that a user can cause or mend. `hint` says what to type next.
class Error : public std::runtime_error {
 public:
  Error(ExitCode exit_code, const std::string& message, std::string hint)
      : std::runtime_error(message), exit_code_(exit_code), hint_(std::move(hint)) {}

  ExitCode exit_code() const { return exit_code_; }
  const std::string& hint() const { return hint_; }

 private:
  ExitCode exit_code_;
  std::string hint_;
};

/// Flags, configuration, or arrays of the wrong shape or type: exit 2.
class UsageError : public Error {
 public:
  explicit UsageError(const std::string& message, std::string hint = "")
      : Error(kExitUsage, message, std::move(hint)) {}
};

/// Data that is missing, corrupt, or does not match its checksum: exit 3.
class DataError : public Error {
 public:
  explicit DataError(const std::string& message, std::string hint = "") : Error(kExitData, message, std::move(hint)) {}
};

/// A run that cannot go on (a checkpoint that does not fit, a diverged resume): exit 4.
class RunError : public Error {
 public:
  explicit RunError(const std::string& message, std::string hint = "")
      : Error(kExitRunFailed, message, std::move(hint)) {}
};

/// Memory, disk, unwritable directories: exit 5.
class ResourceError : public Error {
 public:
  explicit ResourceError(const std::string& message, std::string hint = "")
      : Error(kExitResources, message, std::move(hint)) {}
};

/// "did you mean `a` or `b`? known: a, b, c": near matches of `name` first, then all of `known`.
std::string suggest(std::string_view name, const std::vector<std::string>& known);

namespace detail {
[[noreturn]] void check_failed(const char* condition, const char* file, int line, const std::string& message);
}

}  // namespace lra

/// A programmer's mistake: stays on in release builds, outside kernels.
#define LRA_CHECK(condition, message)                                                         \
  do {                                                                                        \
    if (!(condition)) ::lra::detail::check_failed(#condition, __FILE__, __LINE__, (message)); \
  } while (false)
