#include "engine/io/sha256.h"

// OpenSSL 3 would rather have its EVP functions used, whose state cannot be kept.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <fmt/format.h>
#include <openssl/sha.h>

#include <array>
#include <cstring>
#include <fstream>
#include <optional>
#include <vector>

#include "engine/errors.h"
#include "engine/io/hex.h"

namespace lra::io {

namespace {

constexpr size_t kWords = 8;        // of the chaining value
constexpr size_t kBlockBytes = 64;  // that it is computed from at a time
constexpr size_t kWordBytes = 4;
constexpr size_t kStateBytes = (kWords + 2) * kWordBytes;  // the chaining value and the number of bits, then the rest

}  // namespace

Sha256::Sha256() : context_(std::make_unique<SHA256state_st>()) {
  LRA_CHECK(::SHA256_Init(context_.get()) == 1, "OpenSSL has no SHA-256");
}

Sha256::Sha256(const Sha256& other) : context_(std::make_unique<SHA256state_st>(*other.context_)) {}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(const Sha256& other) { return *this = Sha256(other); }
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  LRA_CHECK(context_ && ::SHA256_Update(context_.get(), bytes.data(), bytes.size()) == 1, "SHA-256 update");
}

std::string Sha256::state() const {
  LRA_CHECK(context_, "SHA-256 state");
  std::string bytes(kStateBytes + context_->num, '\0');
  std::memcpy(bytes.data(), context_->h, kWords * kWordBytes);
  std::memcpy(bytes.data() + kWords * kWordBytes, &context_->Nl, kWordBytes);
  std::memcpy(bytes.data() + (kWords + 1) * kWordBytes, &context_->Nh, kWordBytes);
  std::memcpy(bytes.data() + kStateBytes, context_->data, context_->num);
  return to_hex(bytes);
}

Sha256 Sha256::from_state(std::string_view text) {
  const std::optional<std::string> bytes = from_hex(text);
  if (!bytes || bytes->size() < kStateBytes || bytes->size() >= kStateBytes + kBlockBytes) {
    throw DataError("the state of a SHA-256 is damaged", "begin again what it belongs to");
  }
  Sha256 hash;
  hash.context_->num = static_cast<unsigned>(bytes->size() - kStateBytes);
  std::memcpy(hash.context_->h, bytes->data(), kWords * kWordBytes);
  std::memcpy(&hash.context_->Nl, bytes->data() + kWords * kWordBytes, kWordBytes);
  std::memcpy(&hash.context_->Nh, bytes->data() + (kWords + 1) * kWordBytes, kWordBytes);
  std::memcpy(hash.context_->data, bytes->data() + kStateBytes, hash.context_->num);
  return hash;
}

std::string Sha256::hex_digest() {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  LRA_CHECK(context_ && ::SHA256_Final(digest.data(), context_.get()) == 1, "SHA-256 final");
  context_.reset();
  return to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex_digest();
}

std::string sha256_hex(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text.data(), text.size()))); }

std::string sha256_file(const std::filesystem::path& path, const HashProgressFn& progress) {
  constexpr size_t kPieceBytes = size_t{1} << 20;
  std::ifstream file(path, std::ios::binary);
  std::error_code error;
  const uint64_t total_bytes = std::filesystem::file_size(path, error);
  if (!file || error) throw DataError(fmt::format("cannot read `{}`", path.string()), "check its name and permissions");
  Sha256 hash;
  std::vector<char> piece(kPieceBytes);
  uint64_t done_bytes = 0;
  while (file.read(piece.data(), static_cast<std::streamsize>(piece.size())) || file.gcount() > 0) {
    const auto count = static_cast<size_t>(file.gcount());
    hash.update(std::string_view(piece.data(), count));
    if (progress) progress(done_bytes += count, total_bytes);
  }
  if (file.bad()) throw DataError(fmt::format("cannot read all of `{}`", path.string()), "check the disk");
  return hash.hex_digest();
}

}  // namespace lra::io
