// The task custom_text: users' own labelled texts. Classes, vocabulary and length come from the data.
#include <fmt/format.h>

#include <algorithm>

#include "engine/errors.h"
#include "tasks/class_names.h"
#include "tasks/custom/class_notes.h"
#include "tasks/custom/labelled_lines.h"
#include "tasks/dataset.h"
#include "tasks/dataset_writer.h"
#include "tasks/encoding.h"
#include "tasks/labelled_row.h"
#include "tasks/linear_probe.h"
#include "tasks/majority.h"
#include "tasks/new_manifest.h"
#include "tasks/parameters.h"
#include "tasks/registry.h"
#include "tasks/seeded_split.h"
#include "tasks/source.h"
#include "tasks/utf8.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;

/// One file for each split, of which only that for validation may be absent; or any one file.
struct Files {
  SourceTree tree;
  bool has_validation = false;
  bool is_single = false;
};

Files find_files(const Source& source) {
  Files files;
  if (source.is_single_file()) {
    files.is_single = true;
    files.tree = source.find({.what = "labelled texts", .root_bytes = [](std::string_view) { return size_t{0}; }});
    return files;
  }
  TreePattern pattern = files_pattern("labelled texts (train.tsv, test.tsv, perhaps validation.tsv, or give one file)",
                                      {"train.tsv", "validation.tsv", "test.tsv"});
  pattern.required = {"train.tsv", "test.tsv"};
  files.tree = source.find(pattern);
  files.has_validation = files.tree.files.size() == 3;
  return files;
}

/// Where the examples of a file belong.
class Splits {
 public:
  Splits(const Files& files, uint64_t seed) : files_(files), seed_(seed) {}

  /// `index` counts the lines of the file from 0.
  SplitName of(size_t file, uint64_t index) const {
    const std::string& name = files_.tree.files[file];
    if (files_.is_single) return seeded_split(seed_, index);
    if (name == "validation.tsv") return SplitName::kValidation;
    if (name == "test.tsv") return SplitName::kTest;
    const bool is_borrowed = !files_.has_validation && seeded_split(seed_, index) == SplitName::kValidation;
    return is_borrowed ? SplitName::kValidation : SplitName::kTrain;
  }

 private:
  const Files& files_;
  uint64_t seed_;
};

/// What is known after a first reading.
struct Survey {
  ClassNames classes = {};
  CharacterCounts characters = {};
  int64_t empty_texts = 0;
  int64_t invalid_bytes = 0;
};

class CustomText : public Task {
 public:
  CustomText() {
    facts_.name = "custom_text";
    facts_.full_name = "Labelled texts of your own";
    facts_.citation = "the user's data: lines of label<tab>text";
    facts_.nominal_length = 4000;
  }

  const TaskFacts& facts() const override { return facts_; }

  void import(const ImportOptions& options, const fs::path& data_dir, const ProgressFn& progress) const override {
    const Parameters set("an import of custom_text", options.parameters,
                         {"encoding", "max_length", "min_count", "source_name", "split_seed"});
    const std::string encoding_name = set.choice("encoding", encoding_choices());
    const bool has_characters = encoding_name == "characters";
    const int64_t max_length = set.integer("max_length", kMaxNominalLength, 1, kMaxNominalLength);
    const int64_t min_count = set.integer("min_count", int64_t{kMinCharacterCount}, 1, INT64_MAX);
    const int64_t seed = set.integer("split_seed", kDefaultSplitSeed, 0, INT64_MAX);
    const std::string source_name = set.text("source_name", name_of(options.from));
    // A character takes up to four bytes.
    const int64_t max_bytes = has_characters ? std::min(kMaxNominalLength, 4 * max_length) : max_length;
    refuse_existing_dataset(data_dir, facts_.name, options.force);
    constexpr int kReads = 2;
    const Source source(options.from, options.note, progress, kReads);
    const Files files = find_files(source);
    const Splits splits(files, static_cast<uint64_t>(seed));
    Manifest unsurveyed = new_manifest(facts_, "import");
    unsurveyed.token_type = TokenType::kUint16;
    DatasetWriter writer(data_dir, std::move(unsurveyed), options.force);  // before reading: it may be refused
    Survey survey = look_through(source, files, splits, max_bytes);
    const TextEncoding encoding = has_characters
                                      ? TextEncoding::of_characters(survey.characters, static_cast<uint64_t>(min_count))
                                      : TextEncoding::of_bytes();

    Manifest& manifest = writer.manifest();
    manifest.vocabulary = encoding.vocabulary();
    manifest.class_names = survey.classes.names();
    manifest.num_classes = static_cast<int>(survey.classes.names().size());
    manifest.parameters = {{"encoding", encoding_name}, {"source_name", source_name}};
    if (has_characters) manifest.parameters["min_count"] = min_count;
    if (max_length < kMaxNominalLength) manifest.parameters["max_length"] = max_length;
    if (!files.has_validation) manifest.parameters["split_seed"] = seed;
    manifest.source.counts["empty_texts"] = survey.empty_texts;
    if (has_characters) manifest.source.counts["invalid_utf8_bytes"] = survey.invalid_bytes;
    std::vector<uint16_t> tokens;
    size_t longest = 1;
    int64_t cut_texts = 0;
    std::vector<int64_t> train_examples(survey.classes.names().size());
    source.read(files.tree, [&](size_t file, ByteStream& bytes) {
      HashedStream hashed(bytes);
      uint64_t index = 0;
      custom::read_labelled_lines(hashed, source.shown(files.tree, file), max_bytes,
                                  [&](std::string_view label_name, std::string_view text, const TsvReader& rows) {
                                    const SplitName split = splits.of(file, index++);
                                    const int label = survey.classes.label_of(label_name);
                                    const bool is_whole = encoding.encode(text, max_length, tokens);
                                    cut_texts += is_whole && rows.field_bytes(1) == text.size() ? 0 : 1;
                                    longest = std::max(longest, tokens.size());
                                    writer.add_sequence(split, tokens);
                                    writer.add_label(split, label);
                                    if (split == SplitName::kTrain) ++train_examples[static_cast<size_t>(label)];
                                  });
      manifest.source.file_sha256[files.tree.files[file]] = hashed.sha256();
    });
    require_examples(manifest, options.from);
    manifest.nominal_length = static_cast<int64_t>(longest);
    manifest.source.counts["cut_texts"] = cut_texts;
    custom::tell_classes(options.note, survey.classes.names(), train_examples);
    tell(options.note, survey, files);
    if (options.note && cut_texts > 0)
      options.note(fmt::format("{} texts are longer than {} {} and cut there (task.max_length)", cut_texts, max_length,
                               has_characters ? "characters" : "bytes"));
    writer.finish();
  }

  std::vector<ShortcutBaseline> shortcut_baselines(const Dataset& dataset) const override {
    if (dataset.train().size() == 0 || dataset.test().size() == 0) return {};
    return {majority_baseline(dataset), token_histogram_baseline(dataset, "bag_of_tokens")};
  }

  std::string tsv_header() const override { return ""; }

  std::string tsv_row(const Dataset& dataset, const Split& split, int64_t example) const override {
    return labelled_row(dataset, split, example);
  }

 private:
  static Survey look_through(const Source& source, const Files& files, const Splits& splits, int64_t max_bytes) {
    Survey survey;
    source.read(files.tree, [&](size_t file, ByteStream& bytes) {
      uint64_t index = 0;
      const auto look = [&](std::string_view label, std::string_view text, const TsvReader& rows) {
        if (const std::string fault = survey.classes.add(label); !fault.empty()) rows.fail(0, 0, fault);
        if (splits.of(file, index++) == SplitName::kTrain) survey.characters.add(text);
        survey.empty_texts += text.empty() ? 1 : 0;
        survey.invalid_bytes += count_invalid_utf8(text);
      };
      custom::read_labelled_lines(bytes, source.shown(files.tree, file), max_bytes, look);
    });
    survey.classes.finish();
    if (survey.classes.names().size() < 2) {
      throw DataError(fmt::format("the texts have {} labels; a task needs two or more", survey.classes.names().size()),
                      "each line is a label, one tab and the text");
    }
    return survey;
  }

  static void tell(const NoteFn& note, const Survey& survey, const Files& files) {
    if (!note) return;
    if (files.is_single)
      note("one file: of each ten lines one is for validation and one for testing (task.split_seed)");
    if (!files.is_single && !files.has_validation) {
      note("no validation.tsv: of each ten lines of train.tsv one is for validation (task.split_seed)");
    }
    if (survey.empty_texts > 0) note(fmt::format("{} texts are empty and kept without tokens", survey.empty_texts));
    if (survey.invalid_bytes > 0) note(fmt::format("{} bytes of the texts are not UTF-8", survey.invalid_bytes));
  }

  TaskFacts facts_;
};

const TaskRegistration kRegistration(std::make_unique<CustomText>());

}  // namespace
}  // namespace lra::tasks
