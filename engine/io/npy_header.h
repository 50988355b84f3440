// The header of a .npy file: the text of a Python dictionary with `descr`, `fortran_order` and `shape`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/npy.h"

namespace lra::io {

/// A header as it stands, of an array of any type that is no structure.
struct NpyDescription {
  std::string descr;  // NumPy's name of the type: "<f4", "<U16"
  std::vector<int64_t> shape;
  size_t data_offset_bytes = 0;
};

/// Parses the beginning of `bytes`; `name` is the file, for messages. Throws: DataError, also for Fortran order.
NpyDescription parse_npy_description(std::span<const std::byte> bytes, const std::string& name);

struct NpyHeader {
  NpyType type = NpyType::kUint8;
  std::vector<int64_t> shape;
  size_t data_offset_bytes = 0;
};

/// The same for arrays of numbers. Throws: DataError, also for a type outside NpyType.
NpyHeader parse_npy_header(std::span<const std::byte> bytes, const std::string& name);

/// Magic, version 1.0 and dictionary, padded with blanks to a multiple of 64 bytes as NumPy pads it. With
/// `room_for_rows` the first dimension has room to grow to any number without changing the header's length.
std::string encode_npy_header(NpyType type, std::span<const int64_t> shape, bool room_for_rows = false);

/// The product of the dimensions times `unit_bytes`. Throws: DataError naming `name` when it does not fit in int64.
int64_t checked_bytes(std::span<const int64_t> shape, size_t unit_bytes, const std::string& name);

}  // namespace lra::io
