// The task Image: CIFAR-10 in gray, pixel by pixel.
#include "tasks/dataset.h"
#include "tasks/image/cifar.h"
#include "tasks/import_stage.h"
#include "tasks/linear_probe.h"
#include "tasks/majority.h"
#include "tasks/new_manifest.h"
#include "tasks/parameters.h"
#include "tasks/pixels.h"
#include "tasks/registry.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;

class Image : public Task {
 public:
  Image() {
    facts_.name = "image";
    facts_.full_name = "Image (CIFAR-10)";
    facts_.citation =
        "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; in gray, pixel by pixel, in Tay et "
        "al., Long Range Arena, ICLR 2021";
    facts_.num_classes = image::kClasses;
    facts_.vocabulary = pixel_vocabulary();
    facts_.nominal_length = image::kPixels;
    facts_.default_examples = {.train = 50'000, .validation = 0, .test = 10'000};
    facts_.paper_validation = ValidationSource::train_tail;
    // Source: state-spaces/s4, the normalisation of gray CIFAR-10.
    facts_.image = ImageFacts{.height = image::kSide, .width = image::kSide, .mean = 122.6 / 255, .stddev = 61.0 / 255};
  }

  const TaskFacts& facts() const override { return facts_; }

  void import(const ImportOptions& options, const fs::path& data_dir, const ProgressFn& progress) const override {
    const Parameters set("an import of image", options.parameters, {"grayscale", "source_name"});
    const std::string grayscale = set.choice("grayscale", grayscale_choices());
    const std::string source_name = set.text("source_name", "CIFAR-10");
    run_staged_import(data_dir, facts_.name, options, progress, [&](ImportStage& stage) {
      read(stage, grayscale_named(grayscale));
      Manifest manifest = new_manifest(facts_, "import");
      manifest.parameters = {{"grayscale", grayscale}, {"source_name", source_name}};
      manifest.class_names = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
      manifest.source.file_sha256 = stage.file_sha256();
      DatasetWriter writer = stage.writer(std::move(manifest));
      stage.write_to(writer);
      note_unusual_sizes(facts_, writer.manifest(), options.note);
      writer.finish();
    });
  }

  std::vector<ShortcutBaseline> shortcut_baselines(const Dataset& dataset) const override {
    if (dataset.train().size() == 0 || dataset.test().size() == 0) return {};
    return {majority_baseline(dataset), token_histogram_baseline(dataset, "pixel_histogram")};
  }

  void export_images(const Dataset& dataset, SplitName split, const fs::path& directory,
                     const ProgressFn& progress) const override {
    std::vector<std::string> folders;
    for (int label = 0; label < facts_.num_classes; ++label) folders.push_back(std::to_string(label));
    export_gray_images(dataset.split(split), image::kSide, image::kSide, folders, directory, progress);
  }

 private:
  static void read(ImportStage& stage, Grayscale how) {
    stage.find(image::cifar_pattern());
    const auto read_file = [&](StagedFile& file) {
      const image::BatchPlace place = image::batch_place(file.path());
      uint64_t done_bytes = 0;
      const auto add = [&](uint64_t index, std::span<const uint8_t, image::kPixels> gray, int label) {
        file.add(place.split, place.batch << 32U | index, gray, label);
        file.reached(done_bytes += image::kRecordBytes, index + 1);
      };
      image::read_batch(file, file.shown(), how, add, file.earlier_pieces());
    };
    stage.read(read_file, ImportStage::Hashes::kFiles);
  }

  TaskFacts facts_;
};

const TaskRegistration kRegistration(std::make_unique<Image>());

}  // namespace
}  // namespace lra::tasks
