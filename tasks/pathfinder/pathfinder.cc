// The tasks pathfinder<size>_<difficulty>: their facts, generation, import and export.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "tasks/dataset_writer.h"
#include "tasks/import_stage.h"
#include "tasks/new_directory.h"
#include "tasks/new_manifest.h"
#include "tasks/parallel.h"
#include "tasks/parameters.h"
#include "tasks/pathfinder/baselines.h"
#include "tasks/pathfinder/generator.h"
#include "tasks/pathfinder/importer.h"
#include "tasks/pathfinder/metadata.h"
#include "tasks/pixels.h"
#include "tasks/png.h"
#include "tasks/registry.h"
#include "tasks/requested_sizes.h"
#include "tasks/seeded_split.h"
#include "tasks/shuffle.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;
using pathfinder::Description;
using pathfinder::Difficulty;
using pathfinder::GeneratorParameters;

constexpr int64_t kBatchImages = 1000;     // of the official layout
constexpr int64_t kBytesBesidePixels = 9;  // of an example: its offset and its label

const char* difficulty_text(Difficulty difficulty) {
  return difficulty == Difficulty::kEasy ? "easy" : difficulty == Difficulty::kHard ? "hard" : "intermediate";
}

/// Images of consecutive numbers, painted on several threads.
class Gallery {
 public:
  Gallery(const GeneratorParameters& parameters, uint64_t seed, int threads)
      : tables_(std::make_shared<const pathfinder::Tables>(parameters)),
        seed_(seed),
        threads_(threads),
        image_bytes_(static_cast<size_t>(parameters.size) * static_cast<size_t>(parameters.size)) {}

  /// Calls add(pixels, description) for the images 0..count-1 in their order. Memory does not grow with `count`.
  template <class Add>
  void paint(int64_t count, const ProgressFn& progress, const Add& add) {
    constexpr int64_t kMaxRoundBytes = int64_t{32} << 20;
    constexpr std::chrono::milliseconds kRound{300};  // between two reports, about
    const int64_t most = std::max<int64_t>(kChunkImages, kMaxRoundBytes / static_cast<int64_t>(image_bytes_));
    int64_t round = threads_;  // how the images are divided changes none of them; one may take seconds
    if (progress) progress(0, static_cast<uint64_t>(count));
    for (int64_t first = 0; first < count;) {
      round = std::min({round, most, count - first});
      const auto start = std::chrono::steady_clock::now();
      paint_round(first, round);
      const auto took = std::chrono::steady_clock::now() - start;
      for (int64_t i = 0; i < round; ++i) {
        add(std::span<const uint8_t>(pixels_).subspan(static_cast<size_t>(i) * image_bytes_, image_bytes_),
            descriptions_[static_cast<size_t>(i)]);
      }
      first += round;
      if (progress) progress(static_cast<uint64_t>(first), static_cast<uint64_t>(count));
      round = took < kRound ? 2 * round : std::max<int64_t>(threads_, round / 2);
    }
  }

 private:
  static constexpr int64_t kChunkImages = 16;  // painted by one thread at a time, at most

  void paint_round(int64_t first, int64_t count) {
    pixels_.resize(static_cast<size_t>(count) * image_bytes_);
    descriptions_.resize(static_cast<size_t>(count));
    const int64_t chunk_images = std::clamp<int64_t>(count / (4 * threads_), 1, kChunkImages);
    parallel_for((count + chunk_images - 1) / chunk_images, threads_, [&](int64_t chunk) {
      pathfinder::Painter painter(tables_);
      for (int64_t i = chunk * chunk_images; i < std::min(count, (chunk + 1) * chunk_images); ++i) {
        const auto at = static_cast<size_t>(i);
        descriptions_[at] = painter.paint(seed_, static_cast<uint64_t>(first + i),
                                          std::span(pixels_).subspan(at * image_bytes_, image_bytes_));
      }
    });
  }

  std::shared_ptr<const pathfinder::Tables> tables_;
  uint64_t seed_;
  int threads_;
  size_t image_bytes_;
  std::vector<uint8_t> pixels_;
  std::vector<Description> descriptions_;
};

/// The split of each image: a tenth each for validation and test, chosen by a seeded shuffle.
std::vector<SplitName> dealt_splits(uint64_t seed, int64_t count) {
  const int64_t tenth = count / 10;
  std::vector<SplitName> splits(static_cast<size_t>(count), SplitName::kTrain);
  const std::vector<int64_t> order = shuffled_order(seed, count);
  for (int64_t i = count - 2 * tenth; i < count; ++i) {
    splits[static_cast<size_t>(order[static_cast<size_t>(i)])] =
        i < count - tenth ? SplitName::kValidation : SplitName::kTest;
  }
  return splits;
}

/// The split of image `number` of a generated dataset: one follows the other.
SplitName split_of(const SplitSizes& sizes, int64_t number) {
  if (number < sizes.train) return SplitName::kTrain;
  return number < sizes.train + sizes.validation ? SplitName::kValidation : SplitName::kTest;
}

/// The number of the first image of a split of a generated dataset.
int64_t first_image(const SplitSizes& sizes, SplitName split) {
  return split == SplitName::kTrain        ? 0
         : split == SplitName::kValidation ? sizes.train
                                           : sizes.train + sizes.validation;
}

std::string left_out_text(const char* what, const std::vector<std::string>& paths) {
  constexpr size_t kMaxNamed = 5;
  const auto end = paths.begin() + static_cast<std::ptrdiff_t>(std::min(kMaxNamed, paths.size()));
  return fmt::format("{} images {}: {}{}", paths.size(), what, fmt::join(paths.begin(), end, ", "),
                     paths.size() > kMaxNamed ? ", …" : "");
}

class Pathfinder : public Task {
 public:
  Pathfinder(int size, Difficulty difficulty)
      : difficulty_(difficulty), parameters_(pathfinder::default_parameters(size, difficulty)) {
    facts_.name = fmt::format("pathfinder{}_{}", size, difficulty_text(difficulty));
    if (size == 128 && difficulty == Difficulty::kHard) facts_.aliases = {"pathx"};
    facts_.full_name = fmt::format("Pathfinder, {} x {} pixels, {}", size, size, difficulty_text(difficulty));
    facts_.citation =
        "Linsley et al., Learning Long-Range Spatial Dependencies with Horizontal Gated Recurrent Units, NeurIPS 2018; "
        "in Tay et al., Long Range Arena, ICLR 2021";
    facts_.num_classes = 2;
    facts_.vocabulary = pixel_vocabulary();
    facts_.nominal_length = int64_t{size} * size;
    facts_.default_examples = {.train = 160'000, .validation = 20'000, .test = 20'000};
    facts_.supports_generate = true;
    facts_.image = ImageFacts{.height = size, .width = size, .mean = 0.5, .stddev = 0.5};
  }

  const TaskFacts& facts() const override { return facts_; }

  void generate(const GenerateOptions& options, const fs::path& data_dir, const ProgressFn& progress) const override {
    const GeneratorParameters parameters = pathfinder::parse_parameters(facts_.name, parameters_, options.parameters);
    const int threads = resolve_threads(options.threads);
    check_requested_sizes(facts_, options.examples, facts_.nominal_length + kBytesBesidePixels, data_dir);
    refuse_existing_dataset(data_dir, facts_.name, options.force);
    Gallery gallery(parameters, options.seed, threads);
    Manifest manifest = new_manifest(facts_, "generate");
    manifest.seed = options.seed;
    manifest.parameters = pathfinder::recorded(parameters);
    DatasetWriter writer(data_dir, std::move(manifest), options.force);
    auto counts = std::map<std::string, int64_t>{
        {"attempts", 0}, {"attempts_past_seeding", 0}, {"distractors", 0}, {"distractor_tries", 0}};
    int64_t number = 0;
    gallery.paint(options.examples.total(), progress, [&](std::span<const uint8_t> pixels, const Description& image) {
      const SplitName split = split_of(options.examples, number++);
      writer.add_sequence(split, pixels);
      writer.add_label(split, image.label);
      counts["attempts"] += image.attempts;
      counts["attempts_past_seeding"] += image.attempts_past_seeding;
      counts["distractors"] += image.distractors;
      counts["distractor_tries"] += image.distractor_tries;
    });
    writer.manifest().source.counts = counts;
    writer.finish();
  }

  void import(const ImportOptions& options, const fs::path& data_dir, const ProgressFn& progress) const override {
    const Parameters set(fmt::format("an import of {}", facts_.name), options.parameters, {"split_seed"});
    const int64_t seed = set.integer("split_seed", kDefaultSplitSeed, 0, INT64_MAX);
    run_staged_import(data_dir, facts_.name, options, progress, [&](ImportStage& stage) {
      stage.find(pathfinder::official_pattern(parameters_.size, difficulty_));
      const pathfinder::OfficialSet official = pathfinder::read_official_set(stage, parameters_.size, difficulty_);
      if (options.note && !official.empty_images.empty())
        options.note(left_out_text("are empty files and left out", official.empty_images));
      if (options.note && !official.unlisted_images.empty())
        options.note(left_out_text("are in no metadata and left out", official.unlisted_images));
      Manifest manifest = new_manifest(facts_, "import");
      manifest.parameters["split_seed"] = seed;
      manifest.source.file_sha256 = official.file_sha256;
      manifest.source.counts = {{"empty_images", static_cast<int64_t>(official.empty_images.size())},
                                {"unlisted_images", static_cast<int64_t>(official.unlisted_images.size())}};
      DatasetWriter writer = stage.writer(std::move(manifest));
      const std::vector<SplitName> splits = dealt_splits(static_cast<uint64_t>(seed), official.images);
      auto split = splits.begin();
      stage.for_each([&](const Spool::Example& image) {
        writer.add_sequence(*split, image.bytes);
        writer.add_label(*split, image.label);
        ++split;
      });
      note_unusual_sizes(facts_, writer.manifest(), options.note);
      require_examples(writer.manifest(), options.from);
      writer.finish();
    });
  }

  std::vector<ShortcutBaseline> shortcut_baselines(const Dataset& dataset) const override {
    const double radius = pathfinder::marker_radius_of(dataset.manifest(), parameters_.marker_radius);
    return pathfinder::baselines_of(dataset, parameters_.size, radius);
  }

  /// The official layout. What a published set does not tell of its images is as the task's defaults have it.
  void export_images(const Dataset& dataset, SplitName name, const fs::path& directory,
                     const ProgressFn& progress) const override {
    const Split& split = dataset.split(name);
    const Manifest& manifest = dataset.manifest();
    const GeneratorParameters parameters = pathfinder::parameters_of(manifest, parameters_);
    const int64_t first = first_image(manifest.examples, name);
    const int only_margin = parameters.paddle_margin_list.size() == 1 ? parameters.paddle_margin_list[0] : 0;
    NewDirectory images(directory);
    std::string metadata;
    for (int64_t i = 0; i < split.size(); ++i) {
      const int64_t batch = i / kBatchImages;
      const int64_t number = i % kBatchImages;
      images.write(fmt::format("imgs/{}/sample_{}.png", batch, number),
                   encode_gray_png(split.tokens(i), parameters.size, parameters.size));
      const int margin = manifest.source.kind == "generate" && manifest.seed
                             ? pathfinder::margin_of(parameters, *manifest.seed, static_cast<uint64_t>(first + i))
                             : only_margin;
      metadata += pathfinder::metadata_line(parameters, batch, number, split.label(i), margin);
      if (number + 1 == kBatchImages || i + 1 == split.size()) {
        images.write(fmt::format("metadata/{}.npy", batch), std::as_bytes(std::span(metadata)));
        metadata.clear();
      }
      if (progress) progress(static_cast<uint64_t>(i) + 1, static_cast<uint64_t>(split.size()));
    }
    images.publish();
  }

 private:
  Difficulty difficulty_;
  GeneratorParameters parameters_;
  TaskFacts facts_;
};

/// Registers every size and difficulty.
struct Registrations {
  Registrations() {
    for (const int size : {32, 64, 128, 256}) {
      for (const Difficulty difficulty : {Difficulty::kEasy, Difficulty::kIntermediate, Difficulty::kHard}) {
        const TaskRegistration registration(std::make_unique<Pathfinder>(size, difficulty));
      }
    }
  }
};
const Registrations kRegistrations;

}  // namespace
}  // namespace lra::tasks
