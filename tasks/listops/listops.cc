// The task ListOps: its facts, generation and import of its data, and what predictors score that do not compute.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tasks/dataset_writer.h"
#include "tasks/import_stage.h"
#include "tasks/listops/expression.h"
#include "tasks/listops/generator.h"
#include "tasks/listops/loader.h"
#include "tasks/majority.h"
#include "tasks/new_manifest.h"
#include "tasks/parallel.h"
#include "tasks/registry.h"
#include "tasks/requested_sizes.h"
#include "tasks/shuffle.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;

/// Refuses a corpus that cannot be held, before any work.
void check_memory(const SplitSizes& examples, const listops::GeneratorParameters& parameters) {
  const auto least_bytes = static_cast<uint64_t>(examples.total() * (parameters.min_length + 1));
  const auto memory_bytes =
      static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  if (least_bytes > memory_bytes) {  // the corpus is held in memory to find repetitions
    throw ResourceError(fmt::format("{} examples take more than {} bytes of memory; this machine has {}",
                                    examples.total(), least_bytes, memory_bytes),
                        "ask for fewer examples");
  }
}

class ListOps : public Task {
 public:
  ListOps() {
    facts_.name = "listops";
    facts_.full_name = "ListOps";
    facts_.citation =
        "Nangia and Bowman, ListOps: A Diagnostic Dataset for Latent Tree Learning, NAACL SRW 2018; as `basic` in Tay "
        "et al., Long Range Arena, ICLR 2021";
    facts_.num_classes = listops::kDigits;
    facts_.vocabulary = listops::vocabulary();
    facts_.nominal_length = listops::GeneratorParameters{}.max_length;
    facts_.default_examples = {.train = 96'000, .validation = 2'000, .test = 2'000};
    facts_.supports_generate = true;
  }

  const TaskFacts& facts() const override { return facts_; }

  void generate(const GenerateOptions& options, const fs::path& data_dir, const ProgressFn& progress) const override {
    const listops::GeneratorParameters parameters = listops::parse_parameters(options.parameters);
    const int threads = resolve_threads(options.threads);
    check_requested_sizes(facts_, options.examples, parameters.min_length + 1, data_dir);
    check_memory(options.examples, parameters);
    Manifest manifest = new_manifest(facts_, "generate");
    manifest.seed = options.seed;
    manifest.nominal_length = parameters.max_length;
    manifest.parameters = {{"min_length", parameters.min_length},
                           {"max_length", parameters.max_length},
                           {"max_depth", parameters.max_depth},
                           {"max_args", parameters.max_args}};
    DatasetWriter writer(data_dir, std::move(manifest), options.force);
    const int64_t count = options.examples.total();
    const listops::Corpus corpus = listops::draw_corpus(parameters, options.seed, count, threads, progress);
    const std::vector<int64_t> order = shuffled_order(options.seed, count);
    auto next = order.begin();
    for (const SplitName name : kSplitNames) {
      for (int64_t i = 0; i < options.examples[name]; ++i, ++next) {
        writer.add_sequence(name, corpus.tokens(*next));
        writer.add_label(name, corpus.value(*next));
      }
    }
    writer.manifest().source.counts = {{"candidates", corpus.candidates()}, {"duplicates", corpus.duplicates()}};
    writer.finish();
  }

  void import(const ImportOptions& options, const fs::path& data_dir, const ProgressFn& progress) const override {
    const int64_t max_length = listops::parse_max_length(options.parameters);
    run_staged_import(data_dir, facts_.name, options, progress, [&](ImportStage& stage) {
      read(stage, max_length);
      Manifest manifest = new_manifest(facts_, "import");
      manifest.nominal_length = max_length;
      manifest.source.file_sha256 = stage.file_sha256();
      DatasetWriter writer = stage.writer(std::move(manifest));
      stage.write_to(writer);
      require_examples(writer.manifest(), options.from);
      note_unusual_sizes(facts_, writer.manifest(), options.note);
      writer.finish();
    });
  }

  std::vector<ShortcutBaseline> shortcut_baselines(const Dataset& dataset) const override {
    if (dataset.train().size() == 0 || dataset.test().size() == 0) return {};
    using Counts = std::array<int64_t, listops::kDigits>;
    Counts all{};
    std::array<Counts, 256> by_root{};
    for (int64_t i = 0; i < dataset.train().size(); ++i) {
      const auto label = static_cast<size_t>(dataset.train().label(i));
      ++all[label];
      ++by_root[root(dataset.train(), i)][label];
    }
    int64_t correct = 0;
    for (int64_t i = 0; i < dataset.test().size(); ++i) {
      const Counts& of_root = by_root[root(dataset.test(), i)];
      const bool is_known = std::any_of(of_root.begin(), of_root.end(), [](int64_t count) { return count > 0; });
      const Counts& counts = is_known ? of_root : all;
      correct += dataset.test().label(i) == std::max_element(counts.begin(), counts.end()) - counts.begin() ? 1 : 0;
    }
    return {majority_baseline(dataset),
            {"root_operator", static_cast<double>(correct) / static_cast<double>(dataset.test().size()),
             "answers the most frequent label of the train split for the outermost operator"}};
  }

  std::string tsv_header() const override { return fmt::format("{}\r\n", listops::kOfficialHeader); }

  std::string tsv_row(const Dataset&, const Split& split, int64_t example) const override {
    const std::span<const uint8_t> tokens = split.tokens(example);
    listops::Evaluator evaluator;
    if (!evaluator.evaluate(tokens)) {  // the text is made from the nesting, which has to be right
      throw DataError(fmt::format("example {} of {} is not an expression: {} (token {})", example,
                                  split_text(split.name()), evaluator.fault().what, evaluator.fault().position),
                      "the dataset was altered or damaged; check it with `lra data verify listops`");
    }
    return fmt::format("{}\t{}\r\n", listops::official_text(tokens), split.label(example));
  }

 private:
  static void read(ImportStage& stage, int64_t max_length) {
    std::vector<std::string> names;
    for (const SplitName split : kSplitNames) names.emplace_back(listops::official_file(split));
    stage.find(files_pattern("the official files of ListOps", names));
    const auto read_file = [&](StagedFile& file) {
      const SplitName split = kSplitNames[position_in(names, file.path())];
      const auto add = [&](std::span<const uint8_t> tokens, int target, const TsvReader& rows) {
        const auto line = static_cast<uint64_t>(rows.line());
        file.add(split, line, tokens, target);
        file.reached(rows.end_bytes(), line);
      };
      listops::read_official_file(file, file.shown(), max_length, add, file.earlier_pieces());
    };
    stage.read(read_file, ImportStage::Hashes::kFiles);
  }

  static size_t root(const Split& split, int64_t example) {
    const std::span<const uint8_t> tokens = split.tokens(example);
    return tokens.empty() ? size_t{listops::kPad} : size_t{tokens[0]};
  }

  TaskFacts facts_;
};

const TaskRegistration kRegistration(std::make_unique<ListOps>());

}  // namespace
}  // namespace lra::tasks
