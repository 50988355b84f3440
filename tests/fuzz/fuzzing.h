// What the fuzzers share: files that hold the input, and the one rule that every reader keeps.
//
// A fuzzer is a file READER_fuzz.cc with one LLVMFuzzerTestOneInput. Built for libFuzzer (LRA_FUZZERS) it searches for
// inputs; otherwise replay.cc gives it the files of corpus/READER, so that what was found once stays tested everywhere.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "engine/errors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace lra::fuzzing {

/// Ends the program, which is how a fuzzer reports a finding, unless `holds`.
inline void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "fuzzer: %s\n", what.c_str());
  std::abort();
}

/// A regular file in memory, for readers that take a path.
class InputFile {
 public:
  InputFile() : fd_(::memfd_create("input", MFD_CLOEXEC)), path_("/proc/self/fd/" + std::to_string(fd_)) {
    require(fd_ >= 0, "memfd_create failed");
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile() { ::close(fd_); }

  /// Replaces the content.
  void write(std::span<const uint8_t> bytes) {
    require(::ftruncate(fd_, 0) == 0, "cannot empty the input file");
    require(::pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
            "cannot write the input file");
  }
  void write(std::string_view text) { write({reinterpret_cast<const uint8_t*>(text.data()), text.size()}); }

  const std::filesystem::path& path() const { return path_; }

 private:
  int fd_;
  std::filesystem::path path_;
};

/// An empty directory, removed when the program ends normally.
class InputDirectory {
 public:
  InputDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "lra_fuzz_XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr, "mkdtemp failed");
    path_ = name;
  }
  InputDirectory(const InputDirectory&) = delete;
  InputDirectory& operator=(const InputDirectory&) = delete;
  ~InputDirectory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The rule: `read` ends well (true), or with an error for the user that says what is wrong and what to do (false).
/// Any other exception leaves this function and ends the program.
template <class Read>
bool accepts_or_refuses(Read read) {
  try {
    read();
    return true;
  } catch (const Error& error) {
    require(!std::string_view(error.what()).empty(), "an error without a message");
    require(!error.hint().empty(), std::string("an error without a hint: ") + error.what());
    return false;
  }
}

}  // namespace lra::fuzzing
