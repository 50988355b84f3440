// Small Pathfinder sets for tests: a tree in the official layout, and what a dataset stores.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tasks/png.h"
#include "tasks/registry.h"
#include "tests/temporary_directory.h"

namespace lra::tasks::pathfinder {

inline const Task& easy32() { return task_named("pathfinder32_easy"); }

/// dataset.json and every array.
inline std::string stored_bytes(const Dataset& dataset) {
  std::string bytes = testing::read_bytes(dataset.directory() / kManifestFile);
  for (const auto& [name, file] : dataset.manifest().arrays) bytes += testing::read_bytes(dataset.directory() / name);
  return bytes;
}

/// A directory in the official layout, filled with tiny sets.
class OfficialTree {
 public:
  static constexpr const char* kSet = "pathfinder32/curv_baseline";

  /// Writes `images` images of one gray level each, labels alternating, in batches of 4 below `root`.
  void write(const std::string& root, int images, int level) const {
    for (int i = 0; i < images; ++i) {
      const std::string batch = std::to_string(i / 4);
      const std::filesystem::path folder = directory_.path() / root / "imgs" / batch;
      std::filesystem::create_directories(folder);
      const std::vector<uint8_t> pixels(1024, static_cast<uint8_t>(level + i));
      const std::vector<std::byte> png = encode_gray_png(pixels, 32, 32);
      const std::string name = "sample_" + std::to_string(i % 4) + ".png";
      testing::write_bytes(folder / name, {reinterpret_cast<const char*>(png.data()), png.size()});
      append(root, batch,
             "imgs/" + batch + " " + name + " " + std::to_string(i % 4) + " " + std::to_string(i % 2) + "\n");
    }
  }

  void append(const std::string& root, const std::string& batch, const std::string& line) const {
    const std::filesystem::path file = directory_.path() / root / "metadata" / (batch + ".npy");
    std::filesystem::create_directories(file.parent_path());
    testing::write_bytes(file, testing::read_bytes(file) + line);
  }

  std::filesystem::path path() const { return directory_.path(); }

  Dataset import(const testing::TemporaryDirectory& data, const ParameterTexts& parameters = {},
                 const NoteFn& note = {}) const {
    easy32().import({.from = path(), .parameters = parameters, .force = true, .note = note}, data.path(), {});
    return Dataset::open(data.path(), "pathfinder32_easy");
  }

  DataError refusal() const {
    const testing::TemporaryDirectory data;
    return testing::thrown_by<DataError>([&] { import(data); });
  }

 private:
  testing::TemporaryDirectory directory_;
};

}  // namespace lra::tasks::pathfinder
