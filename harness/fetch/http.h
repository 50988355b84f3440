// One HTTP GET: headers first, then the body in pieces. The only room in which libcurl is used is http.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lra::harness {

struct HttpRequest {
  std::string url;             // http:// or https://; the latter is not left for the former by a redirect
  uint64_t from_byte = 0;      // above 0: asks for the bytes from there on
  std::string validator = {};  // of If-Range: the rest only if the file is still that one; empty: in any case
  double timeout_s = 30;       // to connect; and the longest in which less than kLeastBytesPerS on average may come
  int max_redirects = 5;
};

inline constexpr double kLeastBytesPerS = 100;

/// "bytes 5-9/10" is {5, 10}, "bytes */10" is {none, 10}, "bytes 5-9/*" is {5, none}.
struct ContentRange {
  std::optional<uint64_t> first;
  std::optional<uint64_t> total_bytes;

  bool operator==(const ContentRange&) const = default;
};

/// Not set when it is no such header.
std::optional<ContentRange> parse_content_range(std::string_view value);

/// Of the last answer, after redirects.
struct HttpHeaders {
  int status = 0;
  std::string etag;
  std::string last_modified;
  std::optional<uint64_t> content_length;  // bytes of this body
  std::optional<ContentRange> range;
  double retry_after_s = 0;  // 0: not said

  /// What If-Range may be given: a strong ETag, else the date of Last-Modified, else nothing.
  std::string validator() const;
};

/// What to do with an answer. Anything that these throw stops the transfer and comes out of http_get().
struct HttpReceiver {
  std::function<bool(const HttpHeaders&)> begin;            // false: its body is not wanted
  std::function<void(std::span<const std::byte>)> receive;  // a piece of the body
  std::function<void()> watch;                              // some ten times a second, also while nothing comes
};

enum class HttpEnd {
  complete,  // as far as the server tells: all of the body, or an answer whose body was not wanted
  broken,    // the network, a time-out, a body cut short: may go better another time
  hopeless,  // an address, a certificate or a redirect that will not do
};

struct HttpOutcome {
  HttpEnd end = HttpEnd::complete;
  HttpHeaders headers;  // status 0 when there was no answer
  std::string problem;  // unless complete
};

/// Proxy variables (http_proxy, https_proxy, all_proxy, no_proxy), CURL_CA_BUNDLE and SSL_CERT_FILE are honoured.
HttpOutcome http_get(const HttpRequest& request, const HttpReceiver& receiver);

}  // namespace lra::harness
