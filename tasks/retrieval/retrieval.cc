// The task Retrieval: whether one of two papers of the ACL Anthology Network cites the other, byte by byte.
#include <fmt/format.h>

#include "tasks/dataset.h"
#include "tasks/encoding.h"
#include "tasks/import_stage.h"
#include "tasks/linear_probe.h"
#include "tasks/majority.h"
#include "tasks/new_manifest.h"
#include "tasks/parameters.h"
#include "tasks/registry.h"
#include "tasks/retrieval/overlap.h"
#include "tasks/retrieval/pairs.h"

namespace lra::tasks {
namespace {

namespace fs = std::filesystem;

class Retrieval : public Task {
 public:
  Retrieval() {
    facts_.name = "retrieval";
    facts_.full_name = "Retrieval (AAN)";
    facts_.citation =
        "Radev et al., The ACL Anthology Network Corpus, Language Resources and Evaluation 2013; byte by byte in Tay "
        "et al., Long Range Arena, ICLR 2021";
    facts_.num_classes = 2;
    facts_.vocabulary = byte_vocabulary();
    facts_.nominal_length = 4000;
    facts_.default_examples = {.train = 147'086, .validation = 18'090, .test = 17'437};
    facts_.inputs_per_example = 2;
  }

  const TaskFacts& facts() const override { return facts_; }

  void import(const ImportOptions& options, const fs::path& data_dir, const ProgressFn& progress) const override {
    const Parameters set("an import of retrieval", options.parameters, {"max_length", "source_name"});
    const int64_t max_length = set.integer("max_length", facts_.nominal_length, 1, kMaxNominalLength);
    const std::string source_name = set.text("source_name", "AAN");
    run_staged_import(data_dir, facts_.name, options, progress, [&](ImportStage& stage) {
      read(stage, max_length);
      Manifest manifest = new_manifest(facts_, "import");
      manifest.token_type = TokenType::kUint16;
      manifest.nominal_length = max_length;
      manifest.parameters = {{"max_length", max_length}, {"source_name", source_name}};
      manifest.source.file_sha256 = stage.file_sha256();
      DatasetWriter writer = stage.writer(std::move(manifest));
      const TextEncoding encoding = TextEncoding::of_bytes();
      std::vector<uint16_t> tokens;
      stage.for_each([&](const Spool::Example& example) {
        const retrieval::Pair pair = retrieval::unpacked(example.bytes, example.label);
        for (const std::string_view document : {pair.first, pair.second}) {
          encoding.encode(document, max_length, tokens);
          writer.add_sequence(example.split, tokens);
        }
        writer.add_label(example.split, pair.label);
      });
      require_examples(writer.manifest(), options.from);
      note_unusual_sizes(facts_, writer.manifest(), options.note);
      writer.finish();
    });
  }

  std::vector<ShortcutBaseline> shortcut_baselines(const Dataset& dataset) const override {
    if (dataset.train().size() == 0 || dataset.test().size() == 0) return {};
    const auto overlap = [](const Split& split, int64_t example, std::span<float> features) {
      retrieval::overlap_features(split.tokens16(example, 0), split.tokens16(example, 1), features);
    };
    return {majority_baseline(dataset), token_histogram_baseline(dataset, "bag_of_bytes"),
            probe_baseline(dataset, "byte_overlap", retrieval::kOverlapFeatures, overlap,
                           "logistic regression on how alike the two documents' bytes and pairs of bytes are")};
  }

  std::string tsv_header() const override { return ""; }

  /// The ids of the documents are not kept: the example's number stands for both. Lines end with CR LF, since a
  /// document may end with CR.
  std::string tsv_row(const Dataset&, const Split& split, int64_t example) const override {
    return fmt::format("{}\t{}\t{}\t{}\t{}\r\n", split.label(example) == 1 ? "1.0" : "0.0", example, example,
                       decode_bytes(split.tokens16(example, 0)), decode_bytes(split.tokens16(example, 1)));
  }

 private:
  static void read(ImportStage& stage, int64_t max_length) {
    std::vector<std::string> names;
    for (const SplitName split : kSplitNames) names.emplace_back(retrieval::official_file(split));
    stage.find(files_pattern("the official files of Retrieval", names));
    std::vector<uint8_t> packed;
    const auto read_file = [&](StagedFile& file) {
      const SplitName split = kSplitNames[position_in(names, file.path())];
      const auto add = [&](const retrieval::Pair& pair, const TsvReader& rows) {
        const auto line = static_cast<uint64_t>(rows.line());
        retrieval::pack(pair, packed);
        file.add(split, line, packed, pair.label);
        file.reached(rows.end_bytes(), line);
      };
      retrieval::read_pairs(file, file.shown(), max_length, add, file.earlier_pieces());
    };
    stage.read(read_file, ImportStage::Hashes::kFiles);
  }

  TaskFacts facts_;
};

const TaskRegistration kRegistration(std::make_unique<Retrieval>());

}  // namespace
}  // namespace lra::tasks
