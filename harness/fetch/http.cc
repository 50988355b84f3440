#include "harness/fetch/http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>

#include "engine/errors.h"
#include "harness/environment.h"
#include "harness/stopwatch.h"

namespace lra::harness {
namespace {

constexpr int kPollMs = 100;
constexpr size_t kLongestValidator = 1024;

struct EasyCloser {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiCloser {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct ListCloser {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, ListCloser>;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

std::optional<uint64_t> whole_number(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// Errors that another attempt will meet again.
bool is_hopeless(CURLcode code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_LOGIN_DENIED:
      return true;
    default:
      return false;
  }
}

/// One transfer: what libcurl's callbacks share. No exception may cross libcurl, so the first one waits in `thrown_`.
class Transfer {
 public:
  Transfer(const HttpRequest& request, const HttpReceiver& receiver)
      : request_(request), receiver_(receiver), easy_(curl_easy_init()), multi_(curl_multi_init()) {
    LRA_CHECK(easy_ != nullptr && multi_ != nullptr, "libcurl cannot be initialised");
  }

  HttpOutcome run() {
    configure();
    const CURLcode code = perform();
    if (thrown_) std::rethrow_exception(thrown_);
    if (code == CURLE_OK && !stalled_ && !has_begun_) begin();  // an answer without a body
    if (thrown_) std::rethrow_exception(thrown_);
    HttpOutcome outcome{.headers = headers_};
    if (!wants_body_ || (code == CURLE_OK && !stalled_)) return outcome;
    outcome.end = is_hopeless(code) && !stalled_ ? HttpEnd::hopeless : HttpEnd::broken;
    outcome.problem = problem_of(code);
    return outcome;
  }

 private:
  bool is_https() const { return lower(request_.url).starts_with("https:"); }

  std::string problem_of(CURLcode code) const {
    if (stalled_) return fmt::format("less than {} bytes/s for {} s", kLeastBytesPerS, request_.timeout_s);
    std::string message = message_[0] != '\0' ? message_.data() : curl_easy_strerror(code);
    if (code != CURLE_UNSUPPORTED_PROTOCOL) return message;
    return fmt::format("it redirects from {} to something else: {}", is_https() ? "https" : "http or https", message);
  }

  template <class Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(easy_.get(), option, value);
    LRA_CHECK(code == CURLE_OK,
              fmt::format("libcurl refuses option {}: {}", static_cast<int>(option), curl_easy_strerror(code)));
  }

  void configure() {
    set(CURLOPT_URL, request_.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, is_https() ? "https" : "http,https");
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, static_cast<long>(request_.max_redirects));
    set(CURLOPT_CONNECTTIMEOUT_MS, std::max(1L, static_cast<long>(request_.timeout_s * 1000)));
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_USERAGENT, agent_.c_str());
    set(CURLOPT_ERRORBUFFER, message_.data());
    if (!ca_file_.empty()) set(CURLOPT_CAINFO, ca_file_.c_str());
    if (request_.from_byte > 0) {
      set(CURLOPT_RANGE, range_.c_str());
      if (!request_.validator.empty()) {
        extra_headers_ = List(curl_slist_append(nullptr, ("If-Range: " + request_.validator).c_str()));
        set(CURLOPT_HTTPHEADER, extra_headers_.get());
      }
    }
    set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    set(CURLOPT_WRITEDATA, this);
  }

  CURLcode perform() {
    curl_multi_add_handle(multi_.get(), easy_.get());
    CURLcode code = CURLE_OK;
    int running = 1;
    window_start_ = Clock::now();
    while (running > 0) {
      if (curl_multi_perform(multi_.get(), &running) != CURLM_OK) {
        code = CURLE_FAILED_INIT;
        break;
      }
      guarded([&] { receiver_.watch(); });
      if (thrown_ || (running > 0 && has_stalled())) break;
      if (running > 0) curl_multi_poll(multi_.get(), nullptr, 0, kPollMs, nullptr);
    }
    int queued = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &queued)) {
      if (message->msg == CURLMSG_DONE) code = message->data.result;
    }
    curl_multi_remove_handle(multi_.get(), easy_.get());
    return code;
  }

  /// Fewer bytes than there should be since the window began; then a new window begins.
  bool has_stalled() {
    const double elapsed_s = seconds_since(window_start_);
    if (elapsed_s < request_.timeout_s) return false;
    stalled_ = static_cast<double>(window_bytes_) < kLeastBytesPerS * elapsed_s;
    window_start_ = Clock::now();
    window_bytes_ = 0;
    return stalled_;
  }

  template <class Work>
  void guarded(const Work& work) {
    if (thrown_) return;
    try {
      work();
    } catch (...) {
      thrown_ = std::current_exception();
    }
  }

  void begin() {
    has_begun_ = true;
    long status = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    headers_.status = static_cast<int>(status);
    curl_off_t length = -1, retry_after_s = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length >= 0) headers_.content_length = static_cast<uint64_t>(length);
    curl_easy_getinfo(easy_.get(), CURLINFO_RETRY_AFTER, &retry_after_s);
    headers_.retry_after_s = static_cast<double>(retry_after_s);
    guarded([&] { wants_body_ = receiver_.begin(headers_); });
  }

  static size_t on_header(const char* line, size_t size, size_t count, void* self) {
    static_cast<Transfer*>(self)->read_header({line, size * count});
    return size * count;
  }

  void read_header(std::string_view line) {
    if (line.starts_with("HTTP/")) headers_ = {};  // the next answer, after a redirect
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const std::string name = lower(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (name == "etag" && value.size() <= kLongestValidator) headers_.etag = value;
    if (name == "last-modified" && value.size() <= kLongestValidator) headers_.last_modified = value;
    if (name == "content-range") headers_.range = parse_content_range(value);
  }

  /// A return value other than the number of bytes ends the transfer.
  static size_t on_body(const char* bytes, size_t size, size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const size_t length = size * count;
    if (!transfer.has_begun_) transfer.begin();
    if (transfer.thrown_ || !transfer.wants_body_) return length == 0 ? 1 : 0;
    transfer.window_bytes_ += length;
    transfer.guarded([&] { transfer.receiver_.receive(std::as_bytes(std::span(bytes, length))); });
    return transfer.thrown_ ? 0 : length;
  }

  const HttpRequest& request_;
  const HttpReceiver& receiver_;
  const std::string agent_ = "lra/" + lra_version();
  const std::string range_ = fmt::format("{}-", request_.from_byte);
  const std::string ca_file_ =
      !variable("CURL_CA_BUNDLE").empty() ? variable("CURL_CA_BUNDLE") : variable("SSL_CERT_FILE");
  std::array<char, CURL_ERROR_SIZE> message_{};
  List extra_headers_;
  HttpHeaders headers_;
  bool has_begun_ = false;
  bool wants_body_ = true;
  bool stalled_ = false;
  Clock::time_point window_start_;
  uint64_t window_bytes_ = 0;
  std::exception_ptr thrown_;
  std::unique_ptr<CURL, EasyCloser> easy_;  // after all that it points to, so that it goes first
  std::unique_ptr<CURLM, MultiCloser> multi_;
};

}  // namespace

std::optional<ContentRange> parse_content_range(std::string_view value) {
  constexpr std::string_view kUnit = "bytes ";
  const size_t slash = value.find('/');
  if (!lower(value).starts_with(kUnit) || slash == std::string_view::npos) return std::nullopt;
  ContentRange range;
  const std::string_view total = trimmed(value.substr(slash + 1));
  if (total != "*") {
    range.total_bytes = whole_number(total);
    if (!range.total_bytes) return std::nullopt;
  }
  const std::string_view span = trimmed(value.substr(kUnit.size(), slash - kUnit.size()));
  if (span == "*") return range.total_bytes ? std::optional(range) : std::nullopt;
  const size_t dash = span.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  range.first = whole_number(span.substr(0, dash));
  const std::optional<uint64_t> last = whole_number(span.substr(dash + 1));
  const bool is_sound =
      range.first && last && *range.first <= *last && (!range.total_bytes || *last < *range.total_bytes);
  return is_sound ? std::optional(range) : std::nullopt;
}

std::string HttpHeaders::validator() const {
  if (etag.size() >= 2 && etag.starts_with('"') && etag.ends_with('"')) return etag;
  return last_modified;
}

HttpOutcome http_get(const HttpRequest& request, const HttpReceiver& receiver) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  LRA_CHECK(initialised == CURLE_OK, curl_easy_strerror(initialised));
  return Transfer(request, receiver).run();
}

}  // namespace lra::harness
