// `lra data fetch`: downloads the official files of a task.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/errors.h"
#include "harness/commands/command.h"
#include "harness/commands/options.h"
#include "harness/fetch/fetch.h"
#include "harness/progress.h"
#include "harness/signals.h"
#include "tasks/location.h"
#include "tasks/registry.h"

namespace lra::harness {
namespace {

using nlohmann::ordered_json;

struct FetchFlags {
  std::string task;
  std::string data;
  std::string url;
  std::string sha256;
  int max_attempts = DownloadOptions{}.max_attempts;
  double timeout_s = DownloadOptions{}.timeout_s;
  bool json = false;
};

/// One bar for each stretch of work: begun with its first report, again where the work goes back or to another total.
class Bar {
 public:
  explicit Bar(std::string label) : label_(std::move(label)) {}

  void report(uint64_t done, uint64_t total) {
    if (!bar_ || done < done_ || total != total_) {
      bar_.reset();  // its line goes before the next one comes
      bar_ = std::make_unique<Progress>(label_, total, "bytes", done);
    }
    done_ = done;
    total_ = total;
    bar_->update(done);
    if (total > 0 && done == total) finish();
    stop_if_interrupted();
  }
  void finish() {
    if (bar_) bar_->finish();
    bar_.reset();
  }

 private:
  std::string label_;
  std::unique_ptr<Progress> bar_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

void check_flags(const FetchFlags& flags) {
  if (flags.max_attempts < 1) {
    throw UsageError(fmt::format("--max-attempts {} is less than 1", flags.max_attempts),
                     "for example --max-attempts 5");
  }
  constexpr double kLongest = 86'400;
  if (!(flags.timeout_s > 0) || flags.timeout_s > kLongest) {
    throw UsageError(fmt::format("--timeout-s {} is not between 0 and {}", flags.timeout_s, kLongest),
                     "for example --timeout-s 30");
  }
}

/// What came of it, on standard output.
void print_fetched(const FetchFlags& flags, const std::vector<FetchedFile>& files, const std::string& next) {
  ordered_json json = {{"task", flags.task}, {"files", ordered_json::array()}, {"next", next}};
  std::string text;
  for (const FetchedFile& file : files) {
    const bool was_there = file.url.empty();
    json["files"].push_back({{"name", file.name},
                             {"path", file.path.string()},
                             {"bytes", file.bytes},
                             {"sha256", file.sha256},
                             {"sha256_is_published", file.is_published_sha256},
                             {"url", was_there ? ordered_json() : ordered_json(file.url)}});
    text += fmt::format("{}: {} bytes, SHA-256 {}{}\n", file.path.string(), file.bytes, file.sha256,
                        was_there ? " (was there)" : "");
  }
  print_result(flags.json ? json.dump(2) + "\n" : fmt::format("{}next: {}\n", text, next));
}

void run_fetch(const FetchFlags& flags) {
  check_flags(flags);
  const std::string task = tasks::task_named(flags.task).facts().name;
  const std::filesystem::path data_dir = tasks::data_directory(flags.data);
  FetchOptions options{.url = flags.url, .sha256 = CLI::detail::to_lower(flags.sha256)};
  options.download.max_attempts = flags.max_attempts;
  options.download.timeout_s = flags.timeout_s;
  options.download.seed =
      std::random_device{}();  // many machines that were cut off at once should not come back at once
  catch_interrupts();
  Bar fetching("fetch " + task), verifying("verify " + task);
  const DownloadEvents events{.progress = [&](uint64_t done, uint64_t total) { fetching.report(done, total); },
                              .verifying =
                                  [&](uint64_t done, uint64_t total) {
                                    fetching.finish();
                                    verifying.report(done, total);
                                  },
                              .note = [](const std::string& line) { log_line(line); },
                              .watch = stop_if_interrupted};
  const std::vector<FetchedFile> files = fetch_task(task, data_dir, options, events);
  print_fetched(flags, files, next_commands(task, data_dir).front());
}

}  // namespace

void add_fetch_command(CLI::App& data, int& exit_code) {
  const auto flags = std::make_shared<FetchFlags>();
  CLI::App& fetch = *data.add_subcommand("fetch", "download the official files");
  fetch.footer(
      "Files go to DIR/downloads/. A download that ends early, for whatever reason, is kept as NAME.part; the same "
      "command goes on from there. What is complete is compared with its SHA-256 before it gets its name; where none "
      "is published, the first one is recorded in NAME.sha256 and compared from then on.\n\n"
      "Example:\n  lra data fetch listops --data DIR\n  lra data fetch listops --data DIR --json\n\n"
      "Environment:\n"
      "  http_proxy      and https_proxy, all_proxy, no_proxy: as curl reads them\n"
      "  CURL_CA_BUNDLE  file of certificates to trust instead of the system's");
  fetch.add_option("TASK", flags->task, "task, see `lra list tasks`")->type_name(kTaskType)->required();
  add_data_flag(fetch, flags->data);
  fetch.add_option("--url", flags->url, "another address of the file (http:// or https://)")->type_name("URL");
  fetch.add_option("--sha256", flags->sha256, "the SHA-256 that the file must have, instead of the published one")
      ->type_name("HEX");
  fetch.add_option("--max-attempts", flags->max_attempts, "attempts in a row at one address that get no farther")
      ->type_name(kCountType)
      ->capture_default_str();
  fetch.add_option("--timeout-s", flags->timeout_s, "seconds to connect, and without data until an attempt is over")
      ->type_name(kNumberType)
      ->capture_default_str();
  fetch.add_flag("--json", flags->json, "print JSON");
  fetch.callback([flags, &exit_code] {
    try {
      run_fetch(*flags);
    } catch (const Interrupted& interrupted) {
      const std::string task = tasks::task_named(flags->task).facts().name;
      const std::filesystem::path data_dir = tasks::data_directory(flags->data);
      log_line(fmt::format("interrupted; {}; to go on: lra data fetch {} --data {}", fetch_status(task, data_dir), task,
                           tasks::shell_quoted(data_dir)));
      exit_code = exit_code_of(interrupted.signal_number);
    }
  });
}

}  // namespace lra::harness
