// The task Text: sentiment of IMDb reviews, byte by byte.
#include <fmt/format.h>

#include <algorithm>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tasks/encoding.h"
#include "tasks/import_stage.h"
#include "tasks/labelled_row.h"
#include "tasks/linear_probe.h"
#include "tasks/majority.h"
#include "tasks/new_manifest.h"
#include "tasks/parameters.h"
#include "tasks/registry.h"
#include "tasks/text/reviews.h"
#include "tasks/utf8.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxReviewBytes = uint64_t{16} << 20;  // a thousand times the longest

/// What is known of the reviews once all are in the spool.
struct Survey {
  CharacterCounts characters = {};
  int64_t empty_files = 0;
  std::string first_empty = {};
  int64_t invalid_bytes = 0;  // counted where characters are
  std::string first_invalid = {};
};

/// The bytes of each review, by its place in `files`.
void read_reviews(ImportStage& stage, const SourceTree& tree, const std::vector<size_t>& files) {
  std::vector<uint64_t> place(files.size());
  for (size_t at = 0; at < files.size(); ++at) place[files[at]] = at;
  stage.read([&](StagedFile& file) {
    const text::Review review = text::parse_path(tree.files[file.index()]).value().review;
    const std::string document = read_all(file, file.shown(), kMaxReviewBytes);
    file.add(review.split, place[file.index()], document, review.label);
  });
}

/// `files` has the file of each place.
Survey look_through(ImportStage& stage, const std::vector<size_t>& files, bool counts_characters) {
  Survey survey;
  const auto look = [&](const Spool::Example& example) {
    const std::string_view document = example.text();
    if (document.empty() && survey.empty_files++ == 0) survey.first_empty = stage.shown(files[example.key]);
    if (!counts_characters) return;
    if (example.split == SplitName::kTrain) survey.characters.add(document);
    const int64_t invalid = count_invalid_utf8(document);
    if (invalid > 0 && survey.invalid_bytes == 0) survey.first_invalid = stage.shown(files[example.key]);
    survey.invalid_bytes += invalid;
  };
  stage.spool().for_each(look, [&](const Spool::Example& example) { return counts_characters || example.size == 0; });
  return survey;
}

class Text : public Task {
 public:
  Text() {
    facts_.name = "text";
    facts_.full_name = "Text (IMDb)";
    facts_.citation =
        "Maas et al., Learning Word Vectors for Sentiment Analysis, ACL 2011; byte by byte in Tay et al., Long Range "
        "Arena, ICLR 2021";
    facts_.num_classes = 2;
    facts_.vocabulary = byte_vocabulary();
    facts_.nominal_length = 4000;
    facts_.default_examples = {.train = 25'000, .validation = 0, .test = 25'000};
    facts_.paper_validation = ValidationSource::test;
  }

  const TaskFacts& facts() const override { return facts_; }

  void import(const ImportOptions& options, const fs::path& data_dir, const ProgressFn& progress) const override {
    const Parameters set("an import of text", options.parameters, {"encoding", "max_length", "source_name"});
    const std::string encoding_name = set.choice("encoding", encoding_choices());
    const int64_t max_length = set.integer("max_length", kMaxNominalLength, 1, kMaxNominalLength);
    const bool has_characters = encoding_name == "characters";
    const std::string source_name = set.text("source_name", "IMDb");
    run_staged_import(data_dir, facts_.name, options, progress, [&](ImportStage& stage) {
      const SourceTree& tree = stage.find(text::review_pattern());
      const std::vector<size_t> files = text::example_order(tree);
      read_reviews(stage, tree, files);
      const Survey survey = look_through(stage, files, has_characters);
      const TextEncoding encoding = has_characters ? TextEncoding::of_characters(survey.characters, kMinCharacterCount)
                                                   : TextEncoding::of_bytes();
      Manifest manifest = new_manifest(facts_, "import");
      manifest.vocabulary = encoding.vocabulary();
      manifest.class_names = {"neg", "pos"};
      manifest.token_type = TokenType::kUint16;
      manifest.parameters = {{"encoding", encoding_name}, {"source_name", source_name}};
      if (max_length < kMaxNominalLength) {
        manifest.parameters["max_length"] = max_length;
        manifest.nominal_length = std::min(max_length, facts_.nominal_length);
      }
      manifest.source.counts["empty_files"] = survey.empty_files;
      if (has_characters) manifest.source.counts["invalid_utf8_bytes"] = survey.invalid_bytes;
      DatasetWriter writer = stage.writer(std::move(manifest));
      std::vector<uint16_t> tokens;
      stage.for_each([&](const Spool::Example& example) {
        encoding.encode(example.text(), max_length, tokens);
        writer.add_sequence(example.split, tokens);
        writer.add_label(example.split, example.label);
      });
      require_examples(writer.manifest(), options.from);
      tell(options.note, survey);
      note_unusual_sizes(facts_, writer.manifest(), options.note);
      writer.finish();
    });
  }

  std::vector<ShortcutBaseline> shortcut_baselines(const Dataset& dataset) const override {
    if (dataset.train().size() == 0 || dataset.test().size() == 0) return {};
    return {majority_baseline(dataset), token_histogram_baseline(dataset, "bag_of_bytes")};
  }

  std::string tsv_header() const override { return ""; }

  std::string tsv_row(const Dataset& dataset, const Split& split, int64_t example) const override {
    return labelled_row(dataset, split, example);
  }

 private:
  static void tell(const NoteFn& note, const Survey& survey) {
    if (!note) return;
    if (survey.empty_files > 0) {
      note(fmt::format("{} reviews are empty and kept without tokens, first `{}`", survey.empty_files,
                       survey.first_empty));
    }
    if (survey.invalid_bytes > 0) {
      note(fmt::format("{} bytes are not UTF-8 and count as <unk>, first in `{}`", survey.invalid_bytes,
                       survey.first_invalid));
    }
  }

  TaskFacts facts_;
};

const TaskRegistration kRegistration(std::make_unique<Text>());

}  // namespace
}  // namespace lra::tasks
