#include "tasks/pathfinder/importer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>

#include "engine/errors.h"
#include "engine/io/sha256.h"
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
  size_t file = 0;  // of the metadata, in the tree
  int label = 0;
};

/// What looks like an image of the set; listed files are images whatever they are called.
bool is_image_name(std::string_view path) { return path.starts_with(kImages) && path.ends_with(".png"); }

/// What waits in the spool, told by its label there, until all files have been read: metadata and images come in any
/// order, as an archive has its own.
enum class Kept : uint8_t {
  kImage,    // the pixels
  kEmpty,    // nothing
  kDamaged,  // why it is no image: message, zero byte, hint
  kListing,  // the text of metadata
};

bool is_kept_as(const Spool::Example& example, Kept kind) { return example.label == static_cast<int>(kind); }

void add(StagedFile& file, Kept kind, std::string_view bytes) {
  file.add(SplitName::kTrain, file.index(), bytes, static_cast<int>(kind));
}

/// A file of a set into the spool. What a damaged image is told for depends on whether it is listed.
class FileReader {
 public:
  explicit FileReader(int size) : size_(size) {}

  void read(StagedFile& file) {
    if (batch_number(file.path())) return add(file, Kept::kListing, read_all(file, file.shown(), kMaxMetadataBytes));
    try {
      read_image(file);
    } catch (const DataError& error) {
      if (++damaged_ > kMaxDamaged) throw;
      add(file, Kept::kDamaged, std::string(error.what()) + '\0' + error.hint());
    }
  }

 private:
  static constexpr int kMaxDamaged = 1000;

  void read_image(StagedFile& file) const {
    const std::string bytes = read_all(file, file.shown(), kMaxImageBytes);
    if (bytes.empty()) return add(file, Kept::kEmpty, "");
    const PngImage image = decode_png(std::as_bytes(std::span(bytes)), PngColor::kGray, file.shown(), kMaxImageSide);
    if (image.height != size_ || image.width != size_) {
      throw DataError(fmt::format("`{}` is {} x {} pixels, expected {} x {}", file.shown(), image.width, image.height,
                                  size_, size_),
                      "give --from the set of this size, or import another task");
    }
    add(file, Kept::kImage, {reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size()});
  }

  int size_;
  int damaged_ = 0;
};

/// What the files of a set, which are all in the spool, say together.
class SetReader {
 public:
  SetReader(ImportStage& stage, int size, Difficulty difficulty)
      : stage_(stage),
        tree_(stage.tree()),
        size_(size),
        difficulty_(difficulty),
        spool_(stage.spool()),
        listings_(tree_.files.size()) {}

  OfficialSet read() {
    for_each(Kept::kListing, [&](const Spool::Example& file) {
      const std::string name = stage_.shown(file.key);
      parse_metadata(std::as_bytes(file.bytes), name, [&](const ImageRow& row) { add(row, file.key, name); });
      set_.file_sha256[tree_.files[file.key]] = io::sha256_hex(file.text());
    });
    if (listed_.empty()) {
      throw DataError(fmt::format("no metadata in `{}` list any image", printable(tree_.root + std::string(kMetadata))),
                      kIncomplete);
    }
    for_each(Kept::kDamaged, [&](const Spool::Example& file) {
      if (listings_[file.key].line == 0) return;
      const std::string_view error = file.text();
      const size_t end = std::min(error.find('\0'), error.size());
      throw DataError(std::string(error.substr(0, end)), std::string(error.substr(std::min(end + 1, error.size()))));
    });
    for_each(Kept::kEmpty, [&](const Spool::Example& file) {
      if (listings_[file.key].line > 0) set_.empty_images.push_back(tree_.files[file.key]);
    });
    number_images();
    return std::move(set_);
  }

 private:
  static constexpr const char* kIncomplete = "look whether the download is complete, or unpack it again";

  /// In the order of files.
  void for_each(Kept kind, const std::function<void(const Spool::Example&)>& visit) {
    spool_.for_each(visit, [&](const Spool::Example& file) { return is_kept_as(file, kind); });
  }

  void add(const ImageRow& row, size_t metadata, const std::string& name) {
    if (tree_.root.empty() && row.contour_length) refuse_other_difficulty(row, name);
    const auto found = std::lower_bound(tree_.files.begin(), tree_.files.end(), row.path);
    if (found == tree_.files.end() || *found != row.path) {
      throw DataError(
          fmt::format("there is no `{}`; line {} of `{}` lists it", printable(tree_.root + row.path), row.line, name),
          kIncomplete);
    }
    if (batch_number(row.path)) {
      throw DataError(fmt::format("`{}` is listed as an image in line {} of `{}`", row.path, row.line, name),
                      "unpack the download again");
    }
    const auto image = static_cast<size_t>(found - tree_.files.begin());
    Listing& listing = listings_[image];
    if (listing.line > 0) {
      throw DataError(fmt::format("`{}` is listed twice: in line {} of `{}` and in line {} of `{}`", row.path,
                                  listing.line, stage_.shown(listing.file), row.line, name),
                      "unpack the download again");
    }
    listing = {*batch_number(tree_.files[metadata]), row.line, metadata, row.label};
    listed_.push_back(image);
  }

  /// Without the folders that name a set, only this tells easy images from hard ones.
  void refuse_other_difficulty(const ImageRow& row, const std::string& name) const {
    for (const Difficulty other : {Difficulty::kEasy, Difficulty::kIntermediate, Difficulty::kHard}) {
      if (other == difficulty_ || default_parameters(size_, other).contour_length != *row.contour_length) continue;
      throw DataError(
          fmt::format("line {} of `{}` has contours of {} pieces: these are the images of `{}`, not of `{}`", row.line,
                      name, *row.contour_length, official_folder(other), official_folder(difficulty_)),
          "import the task of this difficulty, or give --from the other folder");
    }
  }

  /// By batch, then by line, once all are known.
  void number_images() {
    std::sort(listed_.begin(), listed_.end(), [&](size_t a, size_t b) {
      return std::tie(listings_[a].batch, listings_[a].line, a) < std::tie(listings_[b].batch, listings_[b].line, b);
    });
    std::vector<uint64_t> rank(tree_.files.size());
    for (size_t i = 0; i < listed_.size(); ++i) rank[listed_[i]] = i;
    spool_.renumber([&](const Spool::Example& file) -> std::optional<Spool::Place> {
      if (!is_kept_as(file, Kept::kImage) || listings_[file.key].line == 0) return std::nullopt;
      return Spool::Place{rank[file.key], listings_[file.key].label};
    });
    for (size_t file = 0; file < tree_.files.size(); ++file) {
      const bool is_listed = listings_[file].line > 0;
      if (!is_listed && is_image_name(tree_.files[file])) set_.unlisted_images.push_back(tree_.files[file]);
    }
    set_.images = static_cast<int64_t>(listed_.size() - set_.empty_images.size());
  }

  ImportStage& stage_;
  const SourceTree& tree_;
  int size_;
  Difficulty difficulty_;
  Spool& spool_;
  std::vector<Listing> listings_;  // by file of the tree: no metadata can make it larger
  std::vector<size_t> listed_;
  OfficialSet set_;
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

OfficialSet read_official_set(ImportStage& stage, int size, Difficulty difficulty) {
  FileReader reader(size);
  stage.read([&](StagedFile& file) { reader.read(file); });
  return SetReader(stage, size, difficulty).read();
}

}  // namespace lra::tasks::pathfinder
