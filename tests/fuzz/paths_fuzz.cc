// What file names say: of reviews, of users' images, of Pathfinder's sets, of CIFAR-10's files. One name a line.
#include "tasks/custom/image_paths.h"
#include "tasks/image/cifar.h"
#include "tasks/pathfinder/importer.h"
#include "tasks/text/reviews.h"
#include "tests/fuzz/fuzzing.h"

using namespace lra;

namespace {

void check_root(const tasks::TreePattern& pattern, std::string_view path) {
  const std::optional<size_t> root = pattern.root_bytes(path);
  if (!root) return;
  fuzzing::require(*root < path.size(), "a root that is all of the name");
  fuzzing::require(*root == 0 || path[*root - 1] == '/', "a root that ends within a folder's name");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<tasks::TreePattern> patterns = [] {
    std::vector<tasks::TreePattern> all = {tasks::text::review_pattern(), tasks::custom::image_pattern(),
                                           tasks::image::cifar_pattern()};
    for (const auto difficulty : {tasks::pathfinder::Difficulty::kEasy, tasks::pathfinder::Difficulty::kHard})
      all.push_back(tasks::pathfinder::official_pattern(32, difficulty));
    return all;
  }();
  std::string_view names(reinterpret_cast<const char*>(data), size);
  while (!names.empty()) {
    const std::string_view name = names.substr(0, names.find('\n'));
    names.remove_prefix(std::min(name.size() + 1, names.size()));
    for (const tasks::TreePattern& pattern : patterns) check_root(pattern, name);
    if (const auto image = tasks::custom::parse_image_path(name)) {
      fuzzing::require(!image->label.empty() && image->label.find('/') == std::string_view::npos, "a label of folders");
      fuzzing::require(image->label[0] != '.', "a label of a hidden folder");
    }
    if (const auto review = tasks::text::parse_path(name)) {
      const bool is_label =
          review->review.label == tasks::text::kNegative || review->review.label == tasks::text::kPositive;
      fuzzing::require(is_label, "a label that is none");
    }
  }
  return 0;
}
