#include "engine/io/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <fstream>
#include <vector>

#include "engine/errors.h"

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
