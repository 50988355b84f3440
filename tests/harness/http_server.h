// An HTTP/1.1 server on 127.0.0.1 that answers as a test scripts it: well, badly, slowly or not at all.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace lra::testing {

struct Request {
  size_t number = 0;                           // counts from 0
  std::string target;                          // "/file", or a whole address when the client takes this for a proxy
  std::map<std::string, std::string> headers;  // names in lower case

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
  /// The first byte of "Range: bytes=5-"; 0 when there is none.
  size_t from_byte() const {
    const std::string range = header("range");
    return range.starts_with("bytes=") ? std::stoul(range.substr(6)) : 0;
  }
};

struct Reply {
  int status = 200;
  std::vector<std::string> headers = {};  // "ETag: \"1\""
  std::string body = {};
  bool says_length = true;
  std::optional<size_t> length = {};     // said instead of the body's
  size_t cut_after = std::string::npos;  // bytes of the body that are sent
  std::chrono::milliseconds silence{0};  // after them, before the connection is closed
  size_t piece_bytes = size_t{1} << 16;
  std::chrono::milliseconds between{0};  // pieces
};

class HttpServer {
 public:
  using Script = std::function<Reply(const Request&)>;

  explicit HttpServer(Script script) : script_(std::move(script)) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(socket_, generic, size) != 0 || ::listen(socket_, 16) != 0 ||
        ::getsockname(socket_, generic, &size) != 0) {
      std::abort();  // no test can go on without
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer() {
    stopping_ = true;
    acceptor_.join();
    for (std::thread& connection : connections_) connection.join();
    ::close(socket_);
  }

  std::string url(const std::string& path = "/file") const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }

  std::vector<Request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  size_t count() const { return requests().size(); }

 private:
  void accept_all() {
    while (!stopping_) {
      pollfd waiting{.fd = socket_, .events = POLLIN, .revents = 0};
      if (::poll(&waiting, 1, 10) <= 0) continue;
      const int fd = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      connections_.emplace_back([this, fd] {
        serve(fd);
        ::close(fd);
      });
    }
  }

  void serve(int fd) {
    std::string text;
    char piece[4096];
    while (text.find("\r\n\r\n") == std::string::npos) {
      const ssize_t count = ::recv(fd, piece, sizeof(piece), 0);
      if (count <= 0) return;
      text.append(piece, static_cast<size_t>(count));
    }
    const Request request = noted(text);
    send_reply(fd, script_(request));
  }

  Request noted(const std::string& text) {
    Request request;
    const size_t first = text.find(' ') + 1;
    request.target = text.substr(first, text.find(' ', first) - first);
    for (size_t at = text.find("\r\n") + 2; text.compare(at, 2, "\r\n") != 0;) {
      const size_t end = text.find("\r\n", at), colon = text.find(':', at);
      std::string name = text.substr(at, colon - at);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      request.headers[name] = text.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
    const std::lock_guard lock(mutex_);
    request.number = requests_.size();
    requests_.push_back(request);
    return request;
  }

  void send_reply(int fd, const Reply& reply) {
    std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Scripted\r\nConnection: close\r\n";
    for (const std::string& header : reply.headers) head += header + "\r\n";
    if (reply.says_length)
      head += "Content-Length: " + std::to_string(reply.length.value_or(reply.body.size())) + "\r\n";
    if (!send_all(fd, head + "\r\n")) return;
    const std::string body = reply.body.substr(0, reply.cut_after);
    for (size_t at = 0; at < body.size(); at += reply.piece_bytes) {
      if (!send_all(fd, body.substr(at, reply.piece_bytes)) || !sleep(reply.between)) return;
    }
    sleep(reply.silence);
  }

  static bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }

  /// False when the server stops meanwhile.
  bool sleep(std::chrono::milliseconds time) const {
    const auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until && !stopping_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return !stopping_;
  }

  Script script_;
  int socket_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::vector<Request> requests_;
  std::vector<std::thread> connections_;  // of the acceptor, until it is joined
  std::thread acceptor_;
};

/// What a sound server answers: the rest of `content` where it is asked for and If-Range names this version.
inline Reply file_reply(const Request& request, const std::string& content, const std::string& etag) {
  const size_t from = request.from_byte();
  const std::string if_range = request.header("if-range");
  Reply reply{.headers = {"ETag: " + etag}};
  if (from == 0 || (!if_range.empty() && if_range != etag)) {
    reply.body = content;
  } else if (from >= content.size()) {
    reply.status = 416;
    reply.headers.push_back("Content-Range: bytes */" + std::to_string(content.size()));
  } else {
    reply.status = 206;
    reply.headers.push_back("Content-Range: bytes " + std::to_string(from) + "-" + std::to_string(content.size() - 1) +
                            "/" + std::to_string(content.size()));
    reply.body = content.substr(from);
  }
  return reply;
}

/// Bytes that do not repeat soon, different for each `version`.
inline std::string file_content(size_t bytes, uint64_t version = 1) {
  std::string content(bytes, '\0');
  uint64_t state = version * 0x9E3779B97F4A7C15ULL;
  for (char& c : content) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    c = static_cast<char>(state >> 56);
  }
  return content;
}

/// Addresses of 127.0.0.1 are not to be asked of a proxy of the machine that the tests run on.
inline void forget_proxies() {
  for (const char* name :
       {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})
    ::unsetenv(name);
}

}  // namespace lra::testing
