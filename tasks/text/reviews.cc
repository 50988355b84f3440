#include "tasks/text/reviews.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <tuple>

#include "engine/errors.h"

namespace lra::tasks::text {
namespace {

/// The last component of a path, which is shortened by it and the slash before it.
std::string_view take_last(std::string_view& path) {
  const size_t slash = path.rfind('/');
  const std::string_view last = slash == std::string_view::npos ? path : path.substr(slash + 1);
  path = path.substr(0, slash == std::string_view::npos ? 0 : slash);
  return last;
}

bool parse_number(std::string_view text, uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::optional<ReviewPath> parse_path(std::string_view path) {
  constexpr std::string_view kSuffix = ".txt";
  std::string_view rest = path;
  std::string_view name = take_last(rest);
  const std::string_view polarity = take_last(rest);
  const std::string_view split = take_last(rest);
  if (!name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  const size_t underscore = name.find('_');
  Review review;
  if (underscore == std::string_view::npos || !parse_number(name.substr(0, underscore), review.id) ||
      !parse_number(name.substr(underscore + 1), review.rating)) {
    return std::nullopt;
  }
  if ((polarity != "neg" && polarity != "pos") || (split != "train" && split != "test")) return std::nullopt;
  review.label = polarity == "pos" ? kPositive : kNegative;
  review.split = split == "train" ? SplitName::kTrain : SplitName::kTest;
  return ReviewPath{static_cast<size_t>(split.data() - path.data()), review};
}

TreePattern review_pattern() {
  return {.what = "the IMDb reviews, {train,test}/{neg,pos}/<id>_<rating>.txt",
          .root_bytes = [](std::string_view path) -> std::optional<size_t> {
            const std::optional<ReviewPath> parsed = parse_path(path);
            return parsed ? std::optional(parsed->root_bytes) : std::nullopt;
          }};
}

std::vector<size_t> example_order(const SourceTree& tree) {
  std::vector<Review> reviews;
  for (const std::string& file : tree.files) reviews.push_back(parse_path(file).value().review);
  std::vector<size_t> sorted(reviews.size());
  std::iota(sorted.begin(), sorted.end(), size_t{0});
  const auto rank = [&](size_t file) {
    const Review& review = reviews[file];
    return std::tuple(review.split, review.label, review.id, review.rating, file);  // files are sorted by name
  };
  std::sort(sorted.begin(), sorted.end(), [&](size_t a, size_t b) { return rank(a) < rank(b); });
  return sorted;
}

}  // namespace lra::tasks::text
