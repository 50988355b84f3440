#include "engine/io/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>

#include "engine/errors.h"
#include "engine/io/file.h"

namespace lra::io {

void Sha256::Deleter::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  LRA_CHECK(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1, "OpenSSL has no SHA-256");
}

Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  LRA_CHECK(context_ && EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1, "SHA-256 update");
}

std::string Sha256::hex_digest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  LRA_CHECK(context_ && EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1, "SHA-256 final");
  context_.reset();
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) fmt::format_to(std::back_inserter(hex), "{:02x}", digest[i]);
  return hex;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex_digest();
}

std::string sha256_hex(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text.data(), text.size()))); }

std::string sha256_file(const std::filesystem::path& path) {
  constexpr size_t kPieceBytes = size_t{8} << 20;  // whole pages
  const MappedFile file(path);
  Sha256 hash;
  for (size_t at = 0; at < file.bytes().size(); at += kPieceBytes) {
    const auto piece = file.bytes().subspan(at, std::min(kPieceBytes, file.bytes().size() - at));
    hash.update(piece);
    ::madvise(const_cast<std::byte*>(piece.data()), piece.size(), MADV_DONTNEED);  // a file may be larger than memory
  }
  return hash.hex_digest();
}

}  // namespace lra::io
