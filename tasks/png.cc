#include "tasks/png.h"

#include <fmt/format.h>
#include <png.h>

#include <csetjmp>
#include <cstring>

#include "engine/errors.h"
#include "tasks/grayscale.h"

// libpng reports errors by a long jump. The functions that it may jump out of hold nothing that has a destructor; all
// memory of ours is allocated between the calls.
namespace lra::tasks {
namespace {

constexpr int kMaxAncillaryBytes = 1 << 20;  // of a chunk that is not needed, such as a comment
constexpr int kMaxAncillaryChunks = 64;

/// What libpng's callbacks work on.
struct Transfer {
  const std::byte* from = nullptr;
  size_t left = 0;
  std::vector<std::byte> to;  // allocated beforehand
  size_t written = 0;
  char message[128] = "";
};

void keep_message(png_structp png, png_const_charp message) {
  auto* transfer = static_cast<Transfer*>(png_get_error_ptr(png));
  std::strncpy(transfer->message, message, sizeof transfer->message - 1);
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

void read_bytes(png_structp png, png_bytep to, size_t count) {
  auto* transfer = static_cast<Transfer*>(png_get_io_ptr(png));
  if (count > transfer->left) png_error(png, "the file ends early");
  std::memcpy(to, transfer->from, count);
  transfer->from += count;
  transfer->left -= count;
}

void write_bytes(png_structp png, png_bytep from, size_t count) {
  auto* transfer = static_cast<Transfer*>(png_get_io_ptr(png));
  if (count > transfer->to.size() - transfer->written) png_error(png, "the image grew while it was compressed");
  std::memcpy(transfer->to.data() + transfer->written, from, count);
  transfer->written += count;
}

void flush_nothing(png_structp) {}

/// Owns libpng's two objects.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) {
    transfer_.from = bytes.data();
    transfer_.left = bytes.size();
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &transfer_, keep_message, ignore_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) png_destroy_read_struct(&png_, nullptr, nullptr);
    if (png_ == nullptr) throw ResourceError("no memory for a PNG decoder", "free memory and try again");
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }

  /// Reads the header and asks for 8-bit gray or colour; false when it is damaged.
  bool begin(PngColor color) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_read_fn(png_, &transfer_, read_bytes);
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // decode_png looks at the size
    png_set_chunk_malloc_max(png_, kMaxAncillaryBytes);
    png_set_chunk_cache_max(png_, kMaxAncillaryChunks);
    png_read_info(png_, info_);
    const int type = png_get_color_type(png_, info_);
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
    if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png_);
    if ((type & PNG_COLOR_MASK_COLOR) == 0 && color == PngColor::kRgb) png_set_gray_to_rgb(png_);
    png_set_scale_16(png_);
    png_set_strip_alpha(png_);
    png_set_interlace_handling(png_);
    return true;
  }

  /// What the rows will have; after begin() and a look at the size.
  bool update() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_update_info(png_, info_);
    return true;
  }

  bool read(std::span<png_bytep> rows) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_image(png_, rows.data());
    png_read_end(png_, nullptr);
    return true;
  }

  uint32_t height() const { return png_get_image_height(png_, info_); }
  uint32_t width() const { return png_get_image_width(png_, info_); }
  int channels() const { return png_get_channels(png_, info_); }
  size_t row_bytes() const { return png_get_rowbytes(png_, info_); }
  const char* message() const { return transfer_.message; }

 private:
  Transfer transfer_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

/// False when libpng reports an error, which it does for no valid arguments.
bool write_gray(Transfer& transfer, png_structp png, png_infop info, std::span<png_bytep> rows, int width) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_write_fn(png, &transfer, write_bytes, flush_nothing);
  png_set_IHDR(png, info, static_cast<uint32_t>(width), static_cast<uint32_t>(rows.size()), 8, PNG_COLOR_TYPE_GRAY,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  png_write_image(png, rows.data());
  png_write_end(png, nullptr);
  return true;
}

}  // namespace

std::vector<std::byte> encode_gray_png(std::span<const uint8_t> pixels, int height, int width) {
  const size_t row_bytes = static_cast<size_t>(width);
  LRA_CHECK(height > 0 && width > 0 && pixels.size() == static_cast<size_t>(height) * row_bytes, "pixels of an image");
  std::vector<png_bytep> rows;
  for (int y = 0; y < height; ++y) {
    rows.push_back(const_cast<png_bytep>(pixels.data() + static_cast<size_t>(y) * row_bytes));  // libpng's rows are not
  }
  constexpr size_t kOverheadBytes = 4096;  // of chunks and of what cannot be compressed: less than one byte in 100
  Transfer transfer;
  const size_t raw_bytes = static_cast<size_t>(height) * (row_bytes + 1);
  transfer.to.resize(raw_bytes + raw_bytes / 100 + kOverheadBytes);
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &transfer, keep_message, ignore_warning);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  if (info == nullptr) {
    png_destroy_write_struct(&png, nullptr);
    throw ResourceError("no memory for a PNG encoder", "free memory and try again");
  }
  const bool is_written = write_gray(transfer, png, info, rows, width);
  png_destroy_write_struct(&png, &info);
  LRA_CHECK(is_written, transfer.message);
  transfer.to.resize(transfer.written);
  return std::move(transfer.to);
}

PngImage decode_png(std::span<const std::byte> bytes, PngColor color, const std::string& name, int max_side) {
  const auto fail = [&](const std::string& what) {
    throw DataError(fmt::format("`{}`: {}", name, what), "it should be a PNG image; unpack or download it again");
  };
  if (bytes.empty()) fail("the file is empty");
  Reader reader(bytes);
  if (!reader.begin(color)) fail(reader.message());
  const auto limit = static_cast<uint32_t>(max_side);
  if (reader.height() > limit || reader.width() > limit) {
    fail(fmt::format("it is {} x {} pixels, expected at most {} a side", reader.width(), reader.height(), max_side));
  }
  if (!reader.update()) fail(reader.message());
  const auto channels = static_cast<size_t>(reader.channels());
  const size_t row_bytes = reader.row_bytes();
  LRA_CHECK((channels == 1 || channels == 3) && row_bytes == channels * reader.width(), "8-bit gray or colour");
  PngImage image{.height = static_cast<int>(reader.height()), .width = static_cast<int>(reader.width()), .pixels = {}};
  image.pixels.resize(row_bytes * reader.height());
  std::vector<png_bytep> rows;
  for (uint32_t y = 0; y < reader.height(); ++y) rows.push_back(image.pixels.data() + y * row_bytes);
  if (!reader.read(rows)) fail(reader.message());
  if (channels == 3 && color == PngColor::kGray) {
    const size_t count = image.pixels.size() / 3;
    for (size_t i = 0; i < count; ++i) {
      const uint8_t* rgb = image.pixels.data() + 3 * i;
      image.pixels[i] = to_gray(Grayscale::kPil, rgb[0], rgb[1], rgb[2]);
    }
    image.pixels.resize(count);
  }
  return image;
}

}  // namespace lra::tasks
