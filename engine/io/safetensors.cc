// Writer of safetensors files, and the types that it shares with the reader.
#include "engine/io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/errors.h"

namespace lra::io {
namespace {

constexpr size_t kDataAlignmentBytes = 64;

void check_tensor(const SafetensorsTensor& tensor, std::set<std::string_view>& names) {
  if (tensor.name.empty() || tensor.name == "__metadata__") {
    throw UsageError(fmt::format("a tensor may not be named `{}`", tensor.name), "choose another name");
  }
  if (!names.insert(tensor.name).second) {
    throw UsageError(fmt::format("two tensors are named `{}`", tensor.name), "give each its own name");
  }
  uint64_t needed_bytes = element_bytes(tensor.type);
  for (const int64_t dimension : tensor.shape) {
    const bool overflow = __builtin_mul_overflow(needed_bytes, static_cast<uint64_t>(dimension), &needed_bytes);
    LRA_CHECK(dimension >= 0 && !overflow, fmt::format("shape of the tensor `{}`", tensor.name));
  }
  LRA_CHECK(needed_bytes == tensor.data.size(), fmt::format("bytes of the tensor `{}` against its shape", tensor.name));
}

std::string header_json(std::span<const SafetensorsTensor* const> ordered,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t begin = 0;
  for (const SafetensorsTensor* tensor : ordered) {
    const uint64_t end = begin + tensor->data.size();
    header[tensor->name] = {
        {"dtype", type_name(tensor->type)}, {"shape", tensor->shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  try {
    return header.dump();
  } catch (const nlohmann::json::exception&) {
    throw UsageError("a tensor name or a metadata text is not UTF-8", "use plain text");
  }
}

}  // namespace

size_t element_bytes(SafetensorsType type) {
  switch (type) {
    case SafetensorsType::kF32:
      return 4;
    case SafetensorsType::kF64:
    case SafetensorsType::kI64:
    case SafetensorsType::kU64:
      return 8;
    case SafetensorsType::kU8:
      return 1;
  }
  LRA_CHECK(false, "unknown SafetensorsType");
}

std::string_view type_name(SafetensorsType type) {
  switch (type) {
    case SafetensorsType::kF32:
      return "F32";
    case SafetensorsType::kF64:
      return "F64";
    case SafetensorsType::kI64:
      return "I64";
    case SafetensorsType::kU64:
      return "U64";
    case SafetensorsType::kU8:
      return "U8";
  }
  LRA_CHECK(false, "unknown SafetensorsType");
}

void write_safetensors(const std::filesystem::path& path, std::span<const SafetensorsTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::set<std::string_view> names;
  std::vector<const SafetensorsTensor*> ordered;
  for (const SafetensorsTensor& tensor : tensors) {
    check_tensor(tensor, names);
    ordered.push_back(&tensor);
  }
  std::stable_sort(ordered.begin(), ordered.end(), [](const SafetensorsTensor* a, const SafetensorsTensor* b) {
    return element_bytes(a->type) > element_bytes(b->type);
  });
  std::string header = header_json(ordered, metadata);
  const size_t unpadded = kSafetensorsLengthBytes + header.size();
  header.resize(
      (unpadded + kDataAlignmentBytes - 1) / kDataAlignmentBytes * kDataAlignmentBytes - kSafetensorsLengthBytes, ' ');
  std::string length;
  for (size_t i = 0; i < kSafetensorsLengthBytes; ++i)
    length += static_cast<char>((uint64_t{header.size()} >> (8 * i)) & 0xff);
  AtomicFile file(path);
  file.write(length);
  file.write(header);
  for (const SafetensorsTensor* tensor : ordered) file.write(tensor->data);
  file.commit();
}

}  // namespace lra::io
