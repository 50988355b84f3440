#include "harness/fetch/download.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "engine/errors.h"
#include "engine/io/file.h"
#include "engine/io/sha256.h"
#include "engine/random.h"
#include "harness/fetch/http.h"
#include "harness/fetch/part_file.h"
#include "reports/units.h"
#include "tasks/archive_file.h"
#include "tasks/byte_stream.h"

namespace lra::harness {

namespace {

/// What came of one request.
struct Attempt {
  enum class Next { verify, retry, give_up } next = Next::retry;
  std::string problem = {};
  double retry_after_s = 0;
};

bool is_other_version(const std::string& validator, const HttpHeaders& headers) {
  const std::string& there = validator.starts_with('"') ? headers.etag : headers.last_modified;
  return !validator.empty() && !there.empty() && there != validator;
}

bool is_passing(int status) { return status >= 500 || status == 408 || status == 429; }

class Download {
 public:
  Download(const Wanted& wanted, const DownloadOptions& options, const DownloadEvents& events)
      : wanted_(wanted),
        options_(options),
        events_(events),
        name_(wanted.target.filename().string()),
        jitter_(options.seed, engine::Purpose::data, "download"),
        part_(wanted.target) {
    in_pieces_ = part_.size_bytes() > 0;
  }

  Downloaded run() {
    std::vector<std::string> failures;
    for (const std::string& url : wanted_.urls) {
      if (const auto done = from_address(url)) return *done;
      failures.push_back(fmt::format("{}: {}", url, problem_));
      if (url != wanted_.urls.back()) note(fmt::format("{}; trying the next address", problem_));
    }
    if (part_.size_bytes() == 0) part_.remove();
    throw DataError(fmt::format("cannot download `{}`: {}", name_, fmt::join(failures, "; ")), wanted_.advice);
  }

 private:
  /// Not set when this address will not do; then problem_ says why.
  std::optional<Downloaded> from_address(const std::string& url) {
    uint64_t farthest = part_.size_bytes();
    may_resume_ = true;
    restarted_ = false;
    for (int attempts = 0;;) {
      const Attempt attempt = request(url);
      problem_ = attempt.problem;
      if (attempt.next == Attempt::Next::give_up) return std::nullopt;
      if (attempt.next == Attempt::Next::verify) {
        if (std::string fault = fault_of_part(); !fault.empty()) {
          problem_ = std::move(fault);
          drop_part();
          return std::nullopt;
        }
        const std::string sha256 = io::sha256_file(part_.path(), events_.verifying);
        if (!wanted_.sha256 || *wanted_.sha256 == sha256) return publish(url, sha256);
        problem_ = fmt::format("the file that came has SHA-256 {}, expected {}", sha256, *wanted_.sha256);
        const bool once_more = in_pieces_ && !restarted_;
        restarted_ = true;
        drop_part();
        if (!once_more) return std::nullopt;
        note(problem_ + "; it came in several pieces: starting over");
        continue;
      }
      const bool is_farther = part_.size_bytes() >= farthest + kFartherBytes;
      if (is_farther) farthest = part_.size_bytes();
      attempts = is_farther ? 1 : attempts + 1;
      if (attempts >= options_.max_attempts) {
        problem_ += fmt::format(" (attempt {} of {})", attempts, options_.max_attempts);
        return std::nullopt;
      }
      wait(attempts, attempt);
    }
  }

  Attempt request(const std::string& url) {
    const uint64_t from = part_.size_bytes() > 0 ? resume_from(url) : 0;
    if (from > 0 && from == total_bytes()) return {.next = Attempt::Next::verify};  // only its name is missing
    const bool same_address = part_.origin() && part_.origin()->url == url;
    const HttpRequest request{.url = url,
                              .from_byte = from,
                              .validator = from > 0 && same_address ? part_.origin()->validator : "",
                              .timeout_s = options_.timeout_s};
    Attempt attempt{.next = Attempt::Next::verify};
    const HttpReceiver receiver{
        .begin =
            [&](const HttpHeaders& headers) {
              attempt = answer(request, headers);
              if (attempt.next == Attempt::Next::verify && headers.status == 206 && !same_address) part_.mark_mixed();
              return attempt.next == Attempt::Next::verify && headers.status != 416;
            },
        .receive = [&](std::span<const std::byte> bytes) { receive(bytes, attempt); },
        .watch = [&] { events_.watch(); }};
    const HttpOutcome outcome = http_get(request, receiver);
    if (attempt.next != Attempt::Next::verify) return attempt;
    if (outcome.end == HttpEnd::hopeless) return {Attempt::Next::give_up, outcome.problem};
    if (outcome.end == HttpEnd::broken) return {Attempt::Next::retry, outcome.problem};
    if (total_bytes() > 0 && part_.size_bytes() < total_bytes()) {
      return {Attempt::Next::retry, fmt::format("it ended after {} of {} bytes", part_.size_bytes(), total_bytes())};
    }
    return attempt;
  }

  /// The bytes that can be kept, or 0.
  uint64_t resume_from(const std::string& url) {
    const uint64_t size = part_.size_bytes();
    std::string why_not;
    if (!may_resume_) {
      why_not = "the server cannot continue it";
    } else if (total_bytes() > 0 && size > total_bytes()) {
      why_not = "it is longer than the file";
    } else if (wanted_.sha256) {
      return size;
    } else if (!part_.origin() || part_.origin()->validator.empty()) {
      why_not = "nothing tells which version of the file it belongs to";
    } else if (part_.origin()->url != url) {
      why_not = "it came from another address, and no SHA-256 is known that would show whether it fits";
    } else {
      return size;
    }
    note(fmt::format("dropping the {} that are there: {}", bytes_text(size), why_not));
    return 0;
  }

  /// What an answer's headers mean. `verify`: its body is wanted (416: nothing is missing).
  Attempt answer(const HttpRequest& request, const HttpHeaders& headers) {
    switch (headers.status) {
      case 200:
        return whole_file(request, headers);
      case 206:
        return rest_of_file(request, headers);
      case 416: {
        may_resume_ = false;
        const bool has_all = request.from_byte > 0 && headers.range &&
                             headers.range->total_bytes == request.from_byte &&
                             (total_bytes() == 0 || total_bytes() == request.from_byte);
        if (has_all) return {.next = Attempt::Next::verify};
        return {Attempt::Next::retry, "the server has no bytes after those that are there (416)"};
      }
      default:
        return {is_passing(headers.status) ? Attempt::Next::retry : Attempt::Next::give_up,
                fmt::format("the server answers {}{}", headers.status, meaning(headers.status)), headers.retry_after_s};
    }
  }

  Attempt whole_file(const HttpRequest& request, const HttpHeaders& headers) {
    if (const std::string problem = wrong_size(headers.content_length); !problem.empty()) {
      return {Attempt::Next::give_up, problem};
    }
    if (request.from_byte > 0) {
      note(fmt::format("{}: starting over", is_other_version(request.validator, headers)
                                                ? "the file at the server has changed"
                                                : "the server does not continue downloads"));
    }
    check_disk(headers.content_length.value_or(0), part_.size_bytes());
    part_.restart({.url = request.url, .validator = headers.validator(), .total_bytes = headers.content_length});
    in_pieces_ = false;
    return {.next = Attempt::Next::verify};
  }

  Attempt rest_of_file(const HttpRequest& request, const HttpHeaders& headers) {
    if (request.from_byte == 0 || !headers.range || headers.range->first != request.from_byte) {
      may_resume_ = false;
      return {Attempt::Next::retry, "the server answers with other bytes than those that were asked for"};
    }
    const std::optional<uint64_t> total = headers.range->total_bytes;
    if (const std::string problem = wrong_size(total); !problem.empty()) return {Attempt::Next::give_up, problem};
    const bool other_size = total && total_bytes() > 0 && *total != total_bytes();
    if (other_size || is_other_version(request.validator, headers)) {
      may_resume_ = false;
      return {Attempt::Next::retry, "the file at the server has changed"};
    }
    check_disk(total ? *total - request.from_byte : 0, 0);
    note(fmt::format("going on after {}", bytes_text(request.from_byte)));
    in_pieces_ = true;
    return {.next = Attempt::Next::verify};
  }

  void receive(std::span<const std::byte> bytes, Attempt& attempt) {
    if (attempt.next != Attempt::Next::verify) return;
    const uint64_t total = total_bytes();
    if (total > 0 && part_.size_bytes() + bytes.size() > total) {
      may_resume_ = false;
      attempt = {Attempt::Next::retry, fmt::format("the server sends more than the {} bytes of the file", total)};
      return;
    }
    part_.append(bytes);
    events_.progress(part_.size_bytes(), total);
  }

  /// Empty when the part may be the file that is wanted, or its hash will tell.
  std::string fault_of_part() const {
    constexpr size_t kShownBytes = 40;
    if (wanted_.sha256) return "";
    if (wanted_.is_archive && !tasks::is_archive(part_.path())) {
      return fmt::format("the {} that came are no archive, but begin with `{}`", bytes_text(part_.size_bytes()),
                         tasks::printable(tasks::first_bytes(part_.path()).substr(0, kShownBytes)));
    }
    if (part_.size_bytes() >= wanted_.least_bytes) return "";
    return fmt::format("only {} came, expected at least {}", bytes_text(part_.size_bytes()),
                       bytes_text(wanted_.least_bytes));
  }

  Downloaded publish(const std::string& url, const std::string& sha256) {
    const uint64_t bytes = part_.size_bytes();
    part_.publish();
    return {.bytes = bytes, .sha256 = sha256, .url = url};
  }

  void drop_part() {
    part_.remove();
    part_ = PartFile(wanted_.target);
    in_pieces_ = false;
  }

  /// 0: unknown.
  uint64_t total_bytes() const {
    if (wanted_.size_bytes) return *wanted_.size_bytes;
    return part_.origin() ? part_.origin()->total_bytes.value_or(0) : 0;
  }

  std::string wrong_size(std::optional<uint64_t> offered_bytes) const {
    if (!offered_bytes || !wanted_.size_bytes || *offered_bytes == *wanted_.size_bytes) return "";
    return fmt::format("the server offers {} bytes, expected {}", *offered_bytes, *wanted_.size_bytes);
  }

  /// `freed_bytes` are on the disk but will go.
  void check_disk(uint64_t needed_bytes, uint64_t freed_bytes) const {
    const uint64_t free_bytes = io::free_disk_bytes(wanted_.target.parent_path());
    if (needed_bytes <= freed_bytes || needed_bytes - freed_bytes <= free_bytes) return;
    throw ResourceError(fmt::format("`{}` takes {} more bytes; `{}` has {} free", name_, needed_bytes - freed_bytes,
                                    wanted_.target.parent_path().string(), free_bytes),
                        "free some space, or choose a --data directory on another disk");
  }

  void wait(int attempts, const Attempt& attempt) {
    const double doubled_s = options_.first_wait_s * std::pow(2.0, std::min(attempts, 30) - 1);
    const double wait_s = std::max(std::min(doubled_s, options_.longest_wait_s) * (0.5 + jitter_.uniform()),
                                   std::min(attempt.retry_after_s, options_.longest_wait_s));
    note(fmt::format("{}; attempt {} of {} in {}", attempt.problem, attempts + 1, options_.max_attempts,
                     reports::format_duration_s(wait_s)));
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(wait_s);
    while (std::chrono::steady_clock::now() < until) {
      events_.watch();
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

  void note(const std::string& what) const { events_.note(fmt::format("{}: {}", name_, what)); }

  static std::string_view meaning(int status) {
    switch (status) {
      case 401:
      case 403:
        return " (forbidden)";
      case 404:
      case 410:
        return " (not there)";
      case 407:
        return " (the proxy wants a password)";
      case 429:
        return " (too many requests)";
      default:
        return "";
    }
  }

  const Wanted& wanted_;
  const DownloadOptions& options_;
  const DownloadEvents& events_;
  std::string name_;
  engine::Stream jitter_;
  PartFile part_;
  bool in_pieces_ = false;  // the part holds bytes of more than one answer
  bool may_resume_ = true;  // at this address
  bool restarted_ = false;  // at this address, because pieces did not fit
  std::string problem_;
};

}  // namespace

Downloaded download(const Wanted& wanted, const DownloadOptions& options, const DownloadEvents& events) {
  return Download(wanted, options, events).run();
}

}  // namespace lra::harness
