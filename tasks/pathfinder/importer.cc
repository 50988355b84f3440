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

/// One line of the metadata of one batch.
struct Listed {
  uint64_t batch = 0;
  size_t line = 0;
  size_t file = 0;  // of the metadata
  std::string path;
  int label = 0;
};

std::string place_of(const Source& source, const SourceTree& metadata, const Listed& listed) {
  return fmt::format("line {} of `{}`", listed.line, source.shown(metadata, listed.file));
}

/// Throws for images that are not in the tree, or listed twice.
void check_listed(const Source& source, const SourceTree& tree, const SourceTree& metadata,
                  const std::vector<Listed>& all) {
  std::vector<const Listed*> by_path;
  for (const Listed& listed : all) {
    if (!std::binary_search(tree.files.begin(), tree.files.end(), listed.path)) {
      throw DataError(fmt::format("there is no `{}`; {} lists it", printable(tree.root + listed.path),
                                  place_of(source, metadata, listed)),
                      "look whether the download is complete, or unpack it again");
    }
    by_path.push_back(&listed);
  }
  std::sort(by_path.begin(), by_path.end(), [](const Listed* a, const Listed* b) { return a->path < b->path; });
  const auto twice = std::adjacent_find(by_path.begin(), by_path.end(),
                                        [](const Listed* a, const Listed* b) { return a->path == b->path; });
  if (twice == by_path.end()) return;
  throw DataError(fmt::format("`{}` is listed twice: in {} and in {}", (*twice)->path,
                              place_of(source, metadata, **twice), place_of(source, metadata, **std::next(twice))),
                  "unpack the download again");
}

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
  std::vector<Listed> all;
  source.read(metadata, [&](size_t file, ByteStream& bytes) {
    HashedStream hashed(bytes);
    const std::string name = source.shown(metadata, file);
    const std::string text = read_all(hashed, name, kMaxMetadataBytes);
    for (ImageRow& row : parse_metadata(std::as_bytes(std::span(text)), name)) {
      all.push_back({*batch_number(metadata.files[file]), row.line, file, std::move(row.path), row.label});
    }
    images.file_sha256[metadata.files[file]] = hashed.sha256();
  });
  if (all.empty()) {
    throw DataError(fmt::format("no metadata in `{}` list any image", printable(tree.root + std::string(kMetadata))),
                    "look whether the download is complete, or unpack it again");
  }
  check_listed(source, tree, metadata, all);
  std::sort(all.begin(), all.end(), [](const Listed& a, const Listed& b) {
    return std::tie(a.batch, a.line, a.path) < std::tie(b.batch, b.line, b.path);
  });
  for (Listed& listed : all) {
    images.paths.push_back(std::move(listed.path));
    images.labels.push_back(static_cast<uint8_t>(listed.label));
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
    const PngImage image = decode_png(std::as_bytes(std::span(bytes)), PngColor::kGray, name, size);
    if (image.height != size || image.width != size) {
      throw DataError(
          fmt::format("`{}` is {} x {} pixels, expected {} x {}", name, image.width, image.height, size, size),
          "give --from the set of this size, or import another task");
    }
    visit(order[file], image.pixels);
  });
}

}  // namespace lra::tasks::pathfinder
