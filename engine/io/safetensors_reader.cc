// Reader of safetensors files.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "engine/errors.h"
#include "engine/io/safetensors.h"

namespace lra::io {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the cap of the reference implementation

[[noreturn]] void fail(const std::string& file, const std::string& what) {
  throw DataError(fmt::format("`{}` is not a valid safetensors file: {}", file, what),
                  "copy the file again, or write it anew with the program that made it");
}

[[noreturn]] void fail_tensor(const std::string& file, const std::string& tensor, const std::string& what) {
  fail(file, fmt::format("tensor `{}`: {}", tensor, what));
}

/// Parses the header, refusing repeated keys (the JSON library would keep the last) and deep nesting.
json parse_header(std::string_view text, const std::string& file) {
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, json::parse_event_t event, json& value) {
    constexpr int kMaxDepth = 4;
    if (depth > kMaxDepth) fail(file, "its header is nested too deeply");
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) {
      fail(file, fmt::format("its header repeats the name `{}`", value.get<std::string>()));
    }
    return true;
  };
  try {
    return json::parse(text, watch);
  } catch (const json::exception& error) {
    fail(file, fmt::format("its header is not JSON ({})", error.what()));
  }
}

std::optional<SafetensorsType> type_of(const std::string& name) {
  for (const SafetensorsType type : {SafetensorsType::kF32, SafetensorsType::kF64, SafetensorsType::kI64,
                                     SafetensorsType::kU64, SafetensorsType::kU8}) {
    if (type_name(type) == name) return type;
  }
  return std::nullopt;
}

/// The bytes that shape and type take. Negative and fractional dimensions are not `unsigned` to the JSON library.
uint64_t shape_bytes(const json& shape, SafetensorsTensor& tensor, const std::string& file) {
  uint64_t bytes = element_bytes(tensor.type);
  bool is_empty = false;
  for (const json& dimension : shape) {
    if (!dimension.is_number_unsigned() || dimension.get<uint64_t>() > uint64_t{INT64_MAX}) {
      fail_tensor(file, tensor.name,
                  fmt::format("the dimension {} is not a whole number below 2^63", dimension.dump()));
    }
    tensor.shape.push_back(dimension.get<int64_t>());
    is_empty = is_empty || tensor.shape.back() == 0;
  }
  for (const int64_t dimension : tensor.shape) {
    if (!is_empty && __builtin_mul_overflow(bytes, static_cast<uint64_t>(dimension), &bytes)) {
      fail_tensor(file, tensor.name, fmt::format("the shape {} takes more bytes than 2^64", shape.dump()));
    }
  }
  return is_empty ? 0 : bytes;
}

SafetensorsTensor parse_tensor(const std::string& name, const json& entry, std::span<const std::byte> data,
                               const std::string& file) {
  SafetensorsTensor tensor;
  tensor.name = name;
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets")) {
    fail_tensor(file, name, "its entry should have exactly `dtype`, `shape` and `data_offsets`");
  }
  const json& dtype = entry["dtype"];
  const json& offsets = entry["data_offsets"];
  if (!dtype.is_string() || !entry["shape"].is_array()) fail_tensor(file, name, "`dtype` or `shape` is malformed");
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    fail_tensor(file, name, "`data_offsets` should be two whole numbers");
  }
  const std::optional<SafetensorsType> type = type_of(dtype.get<std::string>());
  if (!type) {
    fail_tensor(file, name, fmt::format("the type {} is not read here (F32, F64, I64, U64 and U8 are)", dtype.dump()));
  }
  tensor.type = *type;
  const uint64_t begin = offsets[0].get<uint64_t>();
  const uint64_t end = offsets[1].get<uint64_t>();
  if (begin > end || end > data.size()) {
    fail_tensor(file, name,
                fmt::format("its data [{}, {}) lie outside the {} bytes of the file", begin, end, data.size()));
  }
  const uint64_t needed_bytes = shape_bytes(entry["shape"], tensor, file);
  if (end - begin != needed_bytes) {
    fail_tensor(file, name,
                fmt::format("{} of shape {} takes {} bytes, but its data have {}", type_name(tensor.type),
                            entry["shape"].dump(), needed_bytes, end - begin));
  }
  tensor.data = data.subspan(begin, end - begin);
  return tensor;
}

std::map<std::string, std::string> parse_metadata(const json& entry, const std::string& file) {
  std::map<std::string, std::string> metadata;
  if (!entry.is_object()) fail(file, "`__metadata__` should be an object of texts");
  for (const auto& [key, value] : entry.items()) {
    if (!value.is_string()) fail(file, fmt::format("`__metadata__` entry `{}` is not a text", key));
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

/// Sorted by position, the tensors must tile the data: no overlap, no hole, exact end.
void check_tiling(std::vector<SafetensorsTensor>& tensors, std::span<const std::byte> data, const std::string& file) {
  std::sort(tensors.begin(), tensors.end(), [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
    return std::pair(a.data.data(), a.data.size()) < std::pair(b.data.data(), b.data.size());
  });
  const std::byte* at = data.data();
  for (const SafetensorsTensor& tensor : tensors) {
    if (tensor.data.data() != at) {
      fail_tensor(
          file, tensor.name,
          tensor.data.data() < at ? "its data overlap those of another tensor" : "there is a hole before its data");
    }
    at += tensor.data.size();
  }
  const auto covered = static_cast<size_t>(at - data.data());
  if (covered != data.size()) {
    fail(file, fmt::format("{} bytes at its end belong to no tensor", data.size() - covered));
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  const std::string name = path.string();
  const std::span<const std::byte> bytes = file_.bytes();
  if (bytes.size() < kSafetensorsLengthBytes)
    fail(name, fmt::format("it has {} bytes; the header alone has more", bytes.size()));
  uint64_t header_bytes = 0;
  for (size_t i = 0; i < kSafetensorsLengthBytes; ++i) header_bytes |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  if (header_bytes > kMaxHeaderBytes) {
    fail(name, fmt::format("its header claims {} bytes; the limit is {}", header_bytes, kMaxHeaderBytes));
  }
  if (header_bytes > bytes.size() - kSafetensorsLengthBytes) {
    fail(name, fmt::format("it is truncated: a header of {} bytes in a file of {}", header_bytes, bytes.size()));
  }
  const json header = parse_header(file_.text().substr(kSafetensorsLengthBytes, header_bytes), name);
  if (!header.is_object()) fail(name, "its header is not a JSON object");
  const std::span<const std::byte> data = bytes.subspan(kSafetensorsLengthBytes + header_bytes);
  for (const auto& [key, entry] : header.items()) {
    if (key == "__metadata__") {
      metadata_ = parse_metadata(entry, name);
    } else {
      tensors_.push_back(parse_tensor(key, entry, data, name));
    }
  }
  check_tiling(tensors_, data, name);
}

const SafetensorsTensor* SafetensorsFile::find(std::string_view name) const {
  const auto found =
      std::find_if(tensors_.begin(), tensors_.end(), [&](const SafetensorsTensor& t) { return t.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

const SafetensorsTensor& SafetensorsFile::at(std::string_view name) const {
  if (const SafetensorsTensor* tensor = find(name)) return *tensor;
  std::vector<std::string> known;
  for (const SafetensorsTensor& tensor : tensors_) known.push_back(tensor.name);
  throw DataError(fmt::format("`{}` has no tensor `{}`", path().string(), name), suggest(name, known));
}

const SafetensorsTensor& SafetensorsFile::require(std::string_view name, SafetensorsType type) const {
  const SafetensorsTensor& tensor = at(name);
  if (tensor.type != type) {
    throw DataError(fmt::format("`{}`: tensor `{}` holds {}, but {} is needed", path().string(), name,
                                type_name(tensor.type), type_name(type)),
                    "use the file that this program wrote, or convert the tensor");
  }
  return tensor;
}

void SafetensorsFile::copy_bytes(std::span<const std::byte> from, std::span<std::byte> to) {
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

}  // namespace lra::io
