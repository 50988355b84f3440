// The task custom_text: users' own labelled texts. Classes, vocabulary and length come from the data.
#include <fmt/format.h>

#include <algorithm>

#include "engine/errors.h"
#include "tasks/class_names.h"
#include "tasks/custom/class_notes.h"
#include "tasks/custom/labelled_lines.h"
#include "tasks/dataset.h"
#include "tasks/encoding.h"
#include "tasks/import_stage.h"
#include "tasks/labelled_row.h"
#include "tasks/linear_probe.h"
#include "tasks/majority.h"
#include "tasks/new_manifest.h"
#include "tasks/parameters.h"
#include "tasks/registry.h"
#include "tasks/seeded_split.h"
#include "tasks/utf8.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;

/// One file for each split, of which only that for validation may be absent; or any one file.
struct Files {
  const SourceTree& tree;
  bool has_validation = false;
  bool is_single = false;
};

Files find_files(ImportStage& stage) {
  if (stage.source().is_single_file()) {
    return {.tree = stage.find({.what = "labelled texts", .root_bytes = [](std::string_view) { return size_t{0}; }}),
            .has_validation = false,
            .is_single = true};
  }
  TreePattern pattern = files_pattern("labelled texts (train.tsv, test.tsv, perhaps validation.tsv, or give one file)",
                                      {"train.tsv", "validation.tsv", "test.tsv"});
  pattern.required = {"train.tsv", "test.tsv"};
  const SourceTree& tree = stage.find(pattern);
  return {.tree = tree, .has_validation = tree.files.size() == 3, .is_single = false};
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

/// An example in the spool: its label's name, a tab, and its text, which is cut if the spool's label is not 0.
struct LabelledText {
  std::string_view label;
  std::string_view text;
};

LabelledText labelled_text(const Spool::Example& example) {
  const std::string_view whole = example.text();
  const size_t tab = whole.find('\t');
  if (tab == std::string_view::npos) {
    throw DataError("a text that an import had read was altered", "start the import again");
  }
  return {whole.substr(0, tab), whole.substr(tab + 1)};
}

/// Each line, by its number.
void read_lines(ImportStage& stage, const Splits& splits, int64_t max_bytes) {
  ClassNames classes;
  std::string packed;
  const auto read_file = [&](StagedFile& file) {
    const auto add = [&](std::string_view label, std::string_view text, const TsvReader& rows) {
      if (const std::string fault = classes.add(label); !fault.empty()) rows.fail(0, 0, fault);
      const auto line = static_cast<uint64_t>(rows.line());
      const bool is_cut = rows.field_bytes(1) != text.size();
      packed.assign(label).append("\t").append(text);
      file.add(splits.of(file.index(), line - 1), line, packed, is_cut ? 1 : 0);
      file.reached(rows.end_bytes(), line);
    };
    custom::read_labelled_lines(file, file.shown(), max_bytes, add, file.earlier_pieces());
  };
  stage.read(read_file, ImportStage::Hashes::kFiles);
}

/// What is known once all lines are in the spool.
struct Survey {
  ClassNames classes = {};
  CharacterCounts characters = {};
  int64_t empty_texts = 0;
  int64_t invalid_bytes = 0;
};

Survey look_through(Spool& spool) {
  Survey survey;
  spool.for_each([&](const Spool::Example& example) {
    const auto [label, text] = labelled_text(example);
    if (const std::string fault = survey.classes.add(label); !fault.empty()) {
      throw DataError(fmt::format("the labels of all files together: {}", fault),
                      "see the labels: cut -f 1 FILE | sort -u");
    }
    if (example.split == SplitName::kTrain) survey.characters.add(text);
    survey.empty_texts += text.empty() ? 1 : 0;
    survey.invalid_bytes += count_invalid_utf8(text);
  });
  survey.classes.finish();
  if (survey.classes.names().size() < 2) {
    throw DataError(fmt::format("the texts have {} labels; a task needs two or more", survey.classes.names().size()),
                    "each line is a label, one tab and the text");
  }
  return survey;
}

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
    run_staged_import(data_dir, facts_.name, options, progress, [&](ImportStage& stage) {
      const Files files = find_files(stage);
      read_lines(stage, Splits(files, static_cast<uint64_t>(seed)), max_bytes);
      const Survey survey = look_through(stage.spool());
      const TextEncoding encoding =
          has_characters ? TextEncoding::of_characters(survey.characters, static_cast<uint64_t>(min_count))
                         : TextEncoding::of_bytes();
      Manifest described = new_manifest(facts_, "import");
      described.token_type = TokenType::kUint16;
      described.vocabulary = encoding.vocabulary();
      described.class_names = survey.classes.names();
      described.num_classes = static_cast<int>(survey.classes.names().size());
      described.parameters = {{"encoding", encoding_name}, {"source_name", source_name}};
      if (has_characters) described.parameters["min_count"] = min_count;
      if (max_length < kMaxNominalLength) described.parameters["max_length"] = max_length;
      if (!files.has_validation) described.parameters["split_seed"] = seed;
      described.source.counts["empty_texts"] = survey.empty_texts;
      if (has_characters) described.source.counts["invalid_utf8_bytes"] = survey.invalid_bytes;
      described.source.file_sha256 = stage.file_sha256();
      DatasetWriter writer = stage.writer(std::move(described));
      std::vector<uint16_t> tokens;
      size_t longest = 1;
      int64_t cut_texts = 0;
      std::vector<int64_t> train_examples(survey.classes.names().size());
      stage.for_each([&](const Spool::Example& example) {
        const auto [label_name, text] = labelled_text(example);
        const int label = survey.classes.label_of(label_name);
        const bool is_whole = encoding.encode(text, max_length, tokens);
        cut_texts += is_whole && example.label == 0 ? 0 : 1;
        longest = std::max(longest, tokens.size());
        writer.add_sequence(example.split, tokens);
        writer.add_label(example.split, label);
        if (example.split == SplitName::kTrain) ++train_examples[static_cast<size_t>(label)];
      });
      Manifest& manifest = writer.manifest();
      require_examples(manifest, options.from);
      manifest.nominal_length = static_cast<int64_t>(longest);
      manifest.source.counts["cut_texts"] = cut_texts;
      custom::tell_classes(options.note, survey.classes.names(), train_examples);
      tell(options.note, survey, files);
      if (options.note && cut_texts > 0)
        options.note(fmt::format("{} texts are longer than {} {} and cut there (task.max_length)", cut_texts,
                                 max_length, has_characters ? "characters" : "bytes"));
      writer.finish();
    });
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
