// The task custom_images: users' own labelled images, in gray, pixel by pixel. Classes and size come from the data.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "engine/errors.h"
#include "tasks/class_names.h"
#include "tasks/custom/class_notes.h"
#include "tasks/custom/image_paths.h"
#include "tasks/dataset.h"
#include "tasks/grayscale.h"
#include "tasks/import_stage.h"
#include "tasks/jpeg.h"
#include "tasks/linear_probe.h"
#include "tasks/majority.h"
#include "tasks/new_manifest.h"
#include "tasks/parameters.h"
#include "tasks/pixels.h"
#include "tasks/png.h"
#include "tasks/registry.h"
#include "tasks/seeded_split.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxSide = 4096;  // so that a sequence has no more tokens than a manifest can say
constexpr uint64_t kMaxFileBytes = uint64_t{128} << 20;  // more than such an image takes without compression

struct GrayImage {
  int height = 0;
  int width = 0;
  std::vector<uint8_t> pixels;  // [height, width]
};

GrayImage decode_gray(std::string_view file, const std::string& name, Grayscale how) {
  const auto bytes = std::as_bytes(std::span(file.data(), file.size()));
  GrayImage image;
  std::vector<uint8_t> colors;
  if (is_jpeg(bytes)) {
    JpegImage decoded = decode_jpeg(bytes, name, kMaxSide);
    image = {decoded.height, decoded.width, {}};
    colors = std::move(decoded.pixels);
  } else {
    PngImage decoded = decode_png(bytes, PngColor::kRgb, name, kMaxSide);
    image = {decoded.height, decoded.width, {}};
    colors = std::move(decoded.pixels);
  }
  image.pixels.reserve(colors.size() / 3);
  for (size_t i = 0; i < colors.size(); i += 3) {
    image.pixels.push_back(to_gray(how, colors[i], colors[i + 1], colors[i + 2]));
  }
  return image;
}

/// The splits and classes of a tree.
struct Layout {
  bool has_splits = false;
  bool has_validation = false;
  ClassNames classes = {};
};

Layout layout_of(const Source& source, const SourceTree& tree) {
  Layout layout;
  std::map<std::optional<SplitName>, size_t> splits;  // with a file of each
  for (size_t i = 0; i < tree.files.size(); ++i) {
    const custom::ImagePath path = custom::parse_image_path(tree.files[i]).value();
    splits.emplace(path.split, i);
    if (const std::string fault = layout.classes.add(path.label); !fault.empty()) {
      throw DataError(fmt::format("`{}`: {}", source.shown(tree, i), fault), "rename the folder, it is the label");
    }
  }
  layout.classes.finish();
  const std::vector<std::string>& names = layout.classes.names();
  const auto without_split = splits.find(std::nullopt);
  layout.has_splits = without_split == splits.end();
  layout.has_validation = splits.contains(SplitName::kValidation);
  if (!layout.has_splits && splits.size() > 1) {
    throw DataError(fmt::format("`{}` is in no folder of a split, `{}` is", source.shown(tree, without_split->second),
                                source.shown(tree, splits.rbegin()->second)),
                    "give all images a split (train/LABEL/, validation/LABEL/, test/LABEL/) or none, or move that one "
                    "away");
  }
  if (std::all_of(names.begin(), names.end(), [](const auto& name) { return custom::split_of_folder(name); })) {
    throw DataError(fmt::format("`{}` is in a folder of a split, but in none of a label", source.shown(tree, 0)),
                    "put the images of each label into a folder of its name: train/LABEL/, test/LABEL/");
  }
  if (names.size() < 2) {
    throw DataError(
        fmt::format("`{}` has images of {} label; a task needs two or more", source.shown(tree, 0), names.size()),
        "put the images of each label into a folder of its name");
  }
  return layout;
}

/// Where a file belongs; `file` is its place in the sorted tree.
SplitName split_of(const Layout& layout, const SourceTree& tree, size_t file, uint64_t seed) {
  const SplitName drawn = seeded_split(seed, file);
  if (!layout.has_splits) return drawn;
  const SplitName stated = custom::parse_image_path(tree.files[file]).value().split.value();
  const bool is_borrowed = stated == SplitName::kTrain && !layout.has_validation && drawn == SplitName::kValidation;
  return is_borrowed ? SplitName::kValidation : stated;
}

/// Where an image belongs.
struct Drawn {
  SplitName split = SplitName::kTrain;
  int label = 0;
};

/// In the spool, in front of the pixels.
struct ImageSize {
  int32_t height = 0;
  int32_t width = 0;
  bool operator==(const ImageSize&) const = default;
};

ImageSize size_of(const Spool::Example& example) {
  ImageSize size;
  if (example.bytes.size() >= sizeof(size)) std::memcpy(&size, example.bytes.data(), sizeof(size));
  const auto pixels = static_cast<uint64_t>(size.height) * static_cast<uint64_t>(size.width);
  if (size.height < 1 || size.width < 1 || pixels != example.bytes.size() - sizeof(size)) {
    throw DataError("an image that an import had read was altered", "start the import again");
  }
  return size;
}

/// Reads every image, by its place in the tree; all have one size, which is returned.
template <class Draw>
ImageSize read_images(ImportStage& stage, const SourceTree& tree, Grayscale how, const Draw& draw) {
  ImageSize first;
  std::string first_name;
  const auto take_first = [&](const Spool::Example& example) {
    first = size_of(example);
    first_name = stage.shown(example.key);
  };
  stage.spool().for_each(take_first, [&](const Spool::Example&) { return first_name.empty(); });
  std::vector<uint8_t> packed(sizeof(ImageSize));
  stage.read([&](StagedFile& file) {
    const GrayImage image = decode_gray(read_all(file, file.shown(), kMaxFileBytes), file.shown(), how);
    const ImageSize size{image.height, image.width};
    if (first_name.empty()) {
      first = size;
      first_name = file.shown();
    }
    if (size != first) {
      throw DataError(fmt::format("`{}` has {} x {} pixels, `{}` has {} x {}", file.shown(), size.width, size.height,
                                  first_name, first.width, first.height),
                      "all images must have the same width and height; bring them to one size first");
    }
    std::memcpy(packed.data(), &size, sizeof(size));
    packed.resize(sizeof(size));
    packed.insert(packed.end(), image.pixels.begin(), image.pixels.end());
    const Drawn drawn = draw(file.index(), custom::parse_image_path(tree.files[file.index()]).value());
    file.add(drawn.split, file.index(), packed, drawn.label);
  });
  return first;
}

class CustomImages : public Task {
 public:
  CustomImages() {
    facts_.name = "custom_images";
    facts_.full_name = "Labelled images of your own";
    facts_.citation = "the user's data: a folder of PNG or JPEG images for each label";
    facts_.vocabulary = pixel_vocabulary();
    facts_.nominal_length = 1024;
    facts_.image = ImageFacts{.height = 0, .width = 0, .mean = 0.5, .stddev = 0.5};
  }

  const TaskFacts& facts() const override { return facts_; }

  void import(const ImportOptions& options, const fs::path& data_dir, const ProgressFn& progress) const override {
    const Parameters set("an import of custom_images", options.parameters, {"grayscale", "source_name", "split_seed"});
    const std::string grayscale = set.choice("grayscale", grayscale_choices());
    const int64_t seed = set.integer("split_seed", kDefaultSplitSeed, 0, INT64_MAX);
    const std::string source_name = set.text("source_name", name_of(options.from));
    run_staged_import(data_dir, facts_.name, options, progress, [&](ImportStage& stage) {
      const SourceTree& tree = stage.find(custom::image_pattern());
      const Layout layout = layout_of(stage.source(), tree);
      const ImageSize size =
          read_images(stage, tree, grayscale_named(grayscale), [&](size_t file, const custom::ImagePath& path) {
            return Drawn{split_of(layout, tree, file, static_cast<uint64_t>(seed)),
                         layout.classes.label_of(path.label)};
          });
      Manifest manifest = new_manifest(facts_, "import");
      manifest.class_names = layout.classes.names();
      manifest.num_classes = static_cast<int>(manifest.class_names.size());
      manifest.nominal_length = int64_t{size.height} * size.width;
      manifest.parameters = {{"grayscale", grayscale},
                             {"height", int64_t{size.height}},
                             {"width", int64_t{size.width}},
                             {"source_name", source_name}};
      if (!layout.has_validation) manifest.parameters["split_seed"] = seed;
      DatasetWriter writer = stage.writer(std::move(manifest));
      std::vector<int64_t> train_examples(layout.classes.names().size());
      stage.for_each([&](const Spool::Example& example) {
        writer.add_sequence(example.split, example.bytes.subspan(sizeof(ImageSize)));
        writer.add_label(example.split, example.label);
        if (example.split == SplitName::kTrain) ++train_examples[static_cast<size_t>(example.label)];
      });
      require_examples(writer.manifest(), options.from);
      custom::tell_classes(options.note, layout.classes.names(), train_examples);
      if (options.note && !layout.has_validation) {
        options.note(layout.has_splits
                         ? "no folder validation: of each ten training images one is for validation (task.split_seed)"
                         : "no folders train and test: of each ten images one is for validation and one for testing "
                           "(task.split_seed)");
      }
      writer.finish();
    });
  }

  std::vector<ShortcutBaseline> shortcut_baselines(const Dataset& dataset) const override {
    if (dataset.train().size() == 0 || dataset.test().size() == 0) return {};
    return {majority_baseline(dataset), token_histogram_baseline(dataset, "pixel_histogram")};
  }

  /// As they were imported: a folder for each label.
  void export_images(const Dataset& dataset, SplitName split, const fs::path& directory,
                     const ProgressFn& progress) const override {
    const Manifest& manifest = dataset.manifest();
    const int height = side(manifest, "height");
    const int width = side(manifest, "width");
    for (const std::string& name : manifest.class_names) {
      if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
        refuse(manifest, fmt::format("`{}` cannot be a folder", printable(name)));
    }
    if (int64_t{height} * width != manifest.nominal_length) refuse(manifest, "height and width are not of the images");
    export_gray_images(dataset.split(split), height, width, manifest.class_names, directory, progress);
  }

 private:
  [[noreturn]] static void refuse(const Manifest& manifest, const std::string& problem) {
    throw DataError(fmt::format("{} of `{}`: {}", kManifestFile, manifest.task, problem),
                    "the file was altered; import the images again with --force");
  }

  static int side(const Manifest& manifest, const std::string& name) {
    const auto found = manifest.parameters.find(name);
    const auto* value = found == manifest.parameters.end() ? nullptr : std::get_if<int64_t>(&found->second);
    if (value == nullptr || *value < 1 || *value > kMaxNominalLength) refuse(manifest, name + " is missing");
    return static_cast<int>(*value);
  }

  TaskFacts facts_;
};

const TaskRegistration kRegistration(std::make_unique<CustomImages>());

}  // namespace
}  // namespace lra::tasks
