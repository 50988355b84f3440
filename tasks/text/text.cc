// The task Text: sentiment of IMDb reviews, byte by byte.
#include <fmt/format.h>

#include <algorithm>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tasks/dataset_writer.h"
#include "tasks/encoding.h"
#include "tasks/labelled_row.h"
#include "tasks/linear_probe.h"
#include "tasks/majority.h"
#include "tasks/new_manifest.h"
#include "tasks/parameters.h"
#include "tasks/registry.h"
#include "tasks/spool.h"
#include "tasks/text/reviews.h"
#include "tasks/utf8.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxReviewBytes = uint64_t{16} << 20;  // a thousand times the longest

/// Reads all reviews into the spool and counts their characters on the way.
struct ReadReviews {
  Spool& spool;
  CharacterCounts characters = {};
  int64_t empty_files = 0;
  std::string first_empty = {};
  int64_t invalid_bytes = 0;  // counted where characters are
  std::string first_invalid = {};

  void read(const Source& source, const SourceTree& tree, bool counts_characters) {
    const std::vector<uint64_t> order = text::example_order(tree);
    source.read(tree, [&](size_t file, ByteStream& bytes) {
      const text::Review review = text::parse_path(tree.files[file]).value().review;
      const std::string document = read_all(bytes, source.shown(tree, file), kMaxReviewBytes);
      if (document.empty() && empty_files++ == 0) first_empty = source.shown(tree, file);
      if (counts_characters) {
        if (review.split == SplitName::kTrain) characters.add(document);
        const int64_t invalid = count_invalid_utf8(document);
        if (invalid > 0 && invalid_bytes == 0) first_invalid = source.shown(tree, file);
        invalid_bytes += invalid;
      }
      spool.add(review.split, order[file], {reinterpret_cast<const uint8_t*>(document.data()), document.size()},
                review.label);
    });
  }
};

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
    refuse_existing_dataset(data_dir, facts_.name, options.force);
    const Source source(options.from, options.note, progress);
    Spool spool(data_dir);
    const SourceTree tree = source.find(text::review_pattern());
    ReadReviews reviews{.spool = spool};
    reviews.read(source, tree, has_characters);

    const TextEncoding encoding =
        has_characters ? TextEncoding::of_characters(reviews.characters, kMinCharacterCount) : TextEncoding::of_bytes();
    Manifest manifest = new_manifest(facts_, "import");
    manifest.vocabulary = encoding.vocabulary();
    manifest.class_names = {"neg", "pos"};
    manifest.token_type = TokenType::kUint16;
    manifest.parameters = {{"encoding", encoding_name}, {"source_name", source_name}};
    if (max_length < kMaxNominalLength) {
      manifest.parameters["max_length"] = max_length;
      manifest.nominal_length = std::min(max_length, facts_.nominal_length);
    }
    manifest.source.counts["empty_files"] = reviews.empty_files;
    DatasetWriter writer(data_dir, std::move(manifest), options.force);
    std::vector<uint16_t> tokens;
    spool.for_each([&](SplitName split, std::span<const uint8_t> bytes, int label) {
      const std::string_view document(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      encoding.encode(document, max_length, tokens);
      writer.add_sequence(split, tokens);
      writer.add_label(split, label);
    });
    require_examples(writer.manifest(), options.from);
    if (has_characters) writer.manifest().source.counts["invalid_utf8_bytes"] = reviews.invalid_bytes;
    tell(options.note, reviews);
    note_unusual_sizes(facts_, writer.manifest(), options.note);
    writer.finish();
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
  static void tell(const NoteFn& note, const ReadReviews& reviews) {
    if (!note) return;
    if (reviews.empty_files > 0) {
      note(fmt::format("{} reviews are empty and kept without tokens, first `{}`", reviews.empty_files,
                       reviews.first_empty));
    }
    if (reviews.invalid_bytes > 0) {
      note(fmt::format("{} bytes are not UTF-8 and count as <unk>, first in `{}`", reviews.invalid_bytes,
                       reviews.first_invalid));
    }
  }

  TaskFacts facts_;
};

const TaskRegistration kRegistration(std::make_unique<Text>());

}  // namespace
}  // namespace lra::tasks
