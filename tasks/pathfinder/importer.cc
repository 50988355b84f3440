#include "tasks/pathfinder/importer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>
#include <string_view>
#include <tuple>

#include "engine/errors.h"
#include "tasks/pathfinder/metadata.h"
#include "tasks/png.h"

namespace lra::tasks::pathfinder {
namespace {

constexpr std::string_view kImages = "imgs/";
constexpr std::string_view kMetadata = "metadata/";
constexpr uint64_t kMaxMetadataBytes = uint64_t{64} << 20;
constexpr uint64_t kMaxImageBytes = uint64_t{1} << 20;
constexpr int kMaxImageSide = 1024;  // so that another size is told from no image at all

/// The number that "metadata/<number>.npy" names; nothing for other files.
std::optional<uint64_t> batch_number(std::string_view path) {
  constexpr std::string_view kExtension = ".npy";
  if (!path.starts_with(kMetadata) || !path.ends_with(kExtension)) return std::nullopt;
  const std::string_view stem = path.substr(kMetadata.size(), path.size() - kMetadata.size() - kExtension.size());
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), number);
  if (error != std::errc() || end != stem.data() + stem.size()) return std::nullopt;
  return number;
}

/// Where a path's part in the set begins: at its last folder `imgs` or `metadata`.
std::optional<size_t> part_in_set(std::string_view path) {
  for (size_t at = path.size(); at > 0;) {
    const size_t slash = path.rfind('/', at - 1);
    const size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
    const std::string_view rest = path.substr(begin);
    if (rest.starts_with(kImages) || batch_number(rest)) return begin;
    if (begin == 0) return std::nullopt;
    at = slash;
  }
  return std::nullopt;
}

/// Where the metadata list an image.
struct Listing {
  uint64_t batch = 0;
  size_t line = 0;  // 0: nowhere
  size_t file = 0;  // of the metadata
  int label = 0;
};

}  // namespace

const char* official_folder(Difficulty difficulty) {
  switch (difficulty) {
    case Difficulty::kEasy:
      return "curv_baseline";
    case Difficulty::kIntermediate:
      return "curv_contour_length_9";
    case Difficulty::kHard:
      return "curv_contour_length_14";
  }
  LRA_CHECK(false, "unknown Difficulty");
}

TreePattern official_pattern(int size, Difficulty difficulty) {
  const std::string folder = fmt::format("{}/", official_folder(difficulty));
  const std::string set = fmt::format("pathfinder{}/{}", size, folder);
  TreePattern pattern;
  pattern.what = fmt::format("{}imgs and {}metadata", set, set);
  pattern.root_bytes = [folder, set](std::string_view path) -> std::optional<size_t> {
    const auto begin = part_in_set(path);
    if (!begin) return std::nullopt;
    const std::string_view root = path.substr(0, *begin);
    const bool is_nested =
        root.ends_with(set) && (root.size() == set.size() || root[root.size() - set.size() - 1] == '/');
    if (!root.empty() && root != folder && !is_nested) return std::nullopt;
    return begin;
  };
  return pattern;
}

OfficialImages read_metadata(const Source& source, const SourceTree& tree) {
  SourceTree metadata{tree.root, {}};
  for (const std::string& file : tree.files) {
    if (batch_number(file)) metadata.files.push_back(file);
  }
  OfficialImages images;
  std::vector<Listing> listings(tree.files.size());  // by file: no metadata can make it larger
  std::vector<size_t> listed;
  source.read(metadata, [&](size_t file, ByteStream& bytes) {
    HashedStream hashed(bytes);
    const std::string name = source.shown(metadata, file);
    const std::string text = read_all(hashed, name, kMaxMetadataBytes);
    parse_metadata(std::as_bytes(std::span(text)), name, [&](const ImageRow& row) {
      const auto found = std::lower_bound(tree.files.begin(), tree.files.end(), row.path);
      if (found == tree.files.end() || *found != row.path) {
        throw DataError(
            fmt::format("there is no `{}`; line {} of `{}` lists it", printable(tree.root + row.path), row.line, name),
            "look whether the download is complete, or unpack it again");
      }
      const auto image = static_cast<size_t>(found - tree.files.begin());
      Listing& listing = listings[image];
      if (listing.line > 0) {
        throw DataError(fmt::format("`{}` is listed twice: in line {} of `{}` and in line {} of `{}`", row.path,
                                    listing.line, source.shown(metadata, listing.file), row.line, name),
                        "unpack the download again");
      }
      listing = {*batch_number(metadata.files[file]), row.line, file, row.label};
      listed.push_back(image);
    });
    images.file_sha256[metadata.files[file]] = hashed.sha256();
  });
  if (listed.empty()) {
    throw DataError(fmt::format("no metadata in `{}` list any image", printable(tree.root + std::string(kMetadata))),
                    "look whether the download is complete, or unpack it again");
  }
  std::sort(listed.begin(), listed.end(), [&](size_t a, size_t b) {
    return std::tie(listings[a].batch, listings[a].line, a) < std::tie(listings[b].batch, listings[b].line, b);
  });
  for (const size_t image : listed) {
    images.paths.push_back(tree.files[image]);
    images.labels.push_back(static_cast<uint8_t>(listings[image].label));
  }
  return images;
}

void read_images(const Source& source, const SourceTree& tree, const OfficialImages& images, int size,
                 const PixelsFn& visit) {
  std::vector<size_t> order(images.paths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return images.paths[a] < images.paths[b]; });
  SourceTree sorted{tree.root, {}};
  for (const size_t image : order) sorted.files.push_back(images.paths[image]);
  source.read(sorted, [&](size_t file, ByteStream& stream) {
    const std::string name = source.shown(sorted, file);
    const std::string bytes = read_all(stream, name, kMaxImageBytes);
    if (bytes.empty()) return visit(order[file], {});
    const PngImage image = decode_png(std::as_bytes(std::span(bytes)), PngColor::kGray, name, kMaxImageSide);
    if (image.height != size || image.width != size) {
      throw DataError(
          fmt::format("`{}` is {} x {} pixels, expected {} x {}", name, image.width, image.height, size, size),
          "give --from the set of this size, or import another task");
    }
    visit(order[file], image.pixels);
  });
}

}  // namespace lra::tasks::pathfinder
