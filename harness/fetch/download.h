// Downloads one file: resumes, retries, tries mirrors, verifies, and only then gives the file its name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/sha256.h"
#include "reports/units.h"

namespace lra::harness {

struct Wanted {
  std::vector<std::string> urls;  // in the order in which they are tried
  std::filesystem::path target;   // in a directory that exists
  std::optional<uint64_t> size_bytes = {};
  std::optional<std::string> sha256 = {};
  std::string advice = {};  // the hint of errors: what to type next

  // Where `sha256` is not known, what can be asked of the file instead: servers answer with a page, too.
  bool is_archive = false;  // it begins as one (see tasks::is_archive)
  uint64_t least_bytes = 0;
};

struct DownloadOptions {
  int max_attempts = 5;        // at one address, in a row, that get less than kFartherBytes farther than any before
  double timeout_s = 30;       // see HttpRequest
  double first_wait_s = 1;     // before the second attempt; doubled each time, times a random factor from 0.5 to 1.5
  double longest_wait_s = 60;  // also when the server asks for more (Retry-After)
  uint64_t seed = 0;           // of the random factors
};

inline constexpr uint64_t kFartherBytes = 1 << 20;

/// A size as reports write it.
inline std::string bytes_text(uint64_t bytes) { return reports::format_bytes(static_cast<int64_t>(bytes)); }

struct DownloadEvents {
  std::function<void(uint64_t done, uint64_t total)> progress;  // total 0: unknown. `done` goes back where it restarts
  io::HashProgressFn verifying;                                 // bytes hashed
  std::function<void(const std::string& line)> note;            // what a reader of a log wants to know
  std::function<void()> watch;                                  // often; may throw to stop, the part is kept
};

struct Downloaded {
  uint64_t bytes = 0;
  std::string sha256;
  std::string url;  // the address that the end of it came from
};

/// Leaves `wanted.target` complete, durable and verified, or not there. What came until an error, a signal or a kill
/// is kept in `<target>.part` and continued by the next call: with If-Range where the server had told the version of
/// the file, without where the SHA-256 is known and decides. One caller at a time for a target.
/// Throws: DataError naming each address and what went wrong there; ResourceError for a disk that is or will be full.
Downloaded download(const Wanted& wanted, const DownloadOptions& options, const DownloadEvents& events);

}  // namespace lra::harness
