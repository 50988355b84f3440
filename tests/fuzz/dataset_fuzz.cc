// A prepared dataset. The input is pieces of: one byte that names a file, two bytes of length, the file's content.
// Files that no piece names hold the dataset of toy_dataset.h.
#include "tasks/dataset.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>

#include "tasks/summary.h"
#include "tests/fuzz/fuzzing.h"
#include "tests/tasks/toy_dataset.h"

using namespace lra;

namespace {

/// The toy dataset in a directory whose files are in memory.
class ToyDataset {
 public:
  ToyDataset() {
    tasks::make_toy(original_.path());
    std::filesystem::create_directory(directory_.path() / "toy");
    for (const auto& entry : std::filesystem::directory_iterator(original_.path() / "toy")) {
      const std::string name = entry.path().filename().string();
      std::ifstream file(entry.path(), std::ios::binary);
      contents_[name] = {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
      std::filesystem::create_symlink(files_[name].path(), directory_.path() / "toy" / name);
    }
  }

  void restore() {
    for (auto& [name, file] : files_) file.write(contents_[name]);
  }

  /// Files are counted in alphabetical order.
  void replace(size_t index, std::span<const uint8_t> content) {
    std::next(files_.begin(), static_cast<std::ptrdiff_t>(index % files_.size()))->second.write(content);
  }

  const std::filesystem::path& data_dir() const { return directory_.path(); }

 private:
  fuzzing::InputDirectory original_, directory_;
  std::map<std::string, std::string> contents_;
  std::map<std::string, fuzzing::InputFile> files_;
};

void read_everything(const tasks::Dataset& dataset) {
  for (const tasks::SplitName name : tasks::kSplitNames) {
    const tasks::Split& split = dataset.split(name);
    tasks::summarize(split, dataset.num_classes());
    for (int64_t example = 0; example < split.size(); ++example) {
      for (int input = 0; input < split.inputs_per_example(); ++input) {
        std::vector<int32_t> tokens(static_cast<size_t>(split.length(example, input)) + 1, -1);
        const int64_t copied = split.copy_tokens(example, input, tokens);
        fuzzing::require(copied == split.length(example, input) && tokens.back() == 0, "tokens are not the sequence");
      }
    }
  }
  dataset.verify({});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static ToyDataset toy;
  constexpr size_t kPieceHeaderBytes = 3;
  toy.restore();
  for (std::span<const uint8_t> rest(data, size); rest.size() >= kPieceHeaderBytes;) {
    const size_t length = std::min<size_t>(rest[1] + 256U * rest[2], rest.size() - kPieceHeaderBytes);
    toy.replace(rest[0], rest.subspan(kPieceHeaderBytes, length));
    rest = rest.subspan(kPieceHeaderBytes + length);
  }
  fuzzing::accepts_or_refuses([&] { read_everything(tasks::Dataset::open(toy.data_dir(), "toy")); });
  return 0;
}
