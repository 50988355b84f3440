// The Pathfinder generator written down as it is described: whole images, no tables, nothing taken back but by copies.
// It draws the same random numbers as the fast one, so it must paint the same pixels. Only the drawing of a single
// paddle or disc is shared; that has its own tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <optional>
#include <vector>

#include "tasks/pathfinder/generator.h"

namespace lra::tasks::pathfinder::plain {

constexpr double kPi = std::numbers::pi;
constexpr float kNowhere = -1e30F;

/// A square of floats.
struct Image {
  int side = 0;
  std::vector<float> values;

  explicit Image(int pixels, float value = 0)
      : side(pixels), values(static_cast<size_t>(pixels) * static_cast<size_t>(pixels), value) {}
  bool contains(Point at) const { return at.y >= 0 && at.y < side && at.x >= 0 && at.x < side; }
  float& at(Point p) { return values[static_cast<size_t>(p.y * side + p.x)]; }
  float at(Point p) const { return values[static_cast<size_t>(p.y * side + p.x)]; }
};

inline Image maximum(Image a, const Image& b) {
  for (size_t i = 0; i < a.values.size(); ++i) a.values[i] = std::max(a.values[i], b.values[i]);
  return a;
}

/// A patch in an otherwise empty image, cut at its borders.
inline Image pasted(int side, const Patch& patch, Point centre, float factor) {
  Image image(side);
  for (int y = -patch.reach; y <= patch.reach; ++y) {
    for (int x = -patch.reach; x <= patch.reach; ++x) {
      const Point at = centre + Point{y, x};
      if (image.contains(at)) image.at(at) = factor * patch.at({y, x});
    }
  }
  return image;
}

inline Image framed(Image image, int width) {
  for (int y = 0; y < image.side; ++y) {
    for (int x = 0; x < image.side; ++x) {
      const int edge = std::min({y, x, image.side - 1 - y, image.side - 1 - x});
      if (edge < width) image.at({y, x}) = 1;
    }
  }
  return image;
}

/// The greatest of the pixels at `offsets` round each pixel, kNowhere where all of them are outside.
inline Image dilated(const Image& image, const std::vector<Point>& offsets) {
  Image result(image.side, kNowhere);
  for (int y = 0; y < image.side; ++y) {
    for (int x = 0; x < image.side; ++x) {
      for (const Point& offset : offsets) {
        const Point from = Point{y, x} + offset;
        if (image.contains(from)) result.at({y, x}) = std::max(result.at({y, x}), image.at(from));
      }
    }
  }
  return result;
}

/// One contour that grows.
struct Snake {
  Image image;
  Image segment;  // occupied by the last paddle
  Point pivot;
  double orientation = 0;
  Point first_tail;
  Point last_head;
};

class Generator {
 public:
  explicit Generator(const GeneratorParameters& parameters) : p_(parameters) {}

  Description paint(uint64_t seed, uint64_t number, std::vector<uint8_t>& pixels) {
    Chance chance(seed, number);
    chance_ = &chance;
    d_ = {};
    d_.label = chance.below(2);
    d_.margin = p_.paddle_margin_list[pick(p_.paddle_margin_list.size())];
    while (!two_snakes()) continue;
    image_ = maximum(snakes_[0].image, snakes_[1].image);
    d_.distractors = many_snakes(p_.num_distractor_snakes, p_.distractor_length, p_.max_distractor_contour_retrial);
    if (p_.use_single_paddles) {
      const double factor = 123.5 / (7.5 + 13 * d_.margin + 4 * d_.margin * d_.margin);
      many_snakes(
          static_cast<int>(150 * factor) - 2 * p_.contour_length - p_.num_distractor_snakes * p_.distractor_length, 1,
          p_.max_paddle_retrial);
    }
    const auto origin = static_cast<size_t>(chance.below(2));
    d_.origin_marker = snakes_[origin].first_tail;
    d_.terminal_marker = snakes_[d_.label == 1 ? origin : 1 - origin].last_head;
    develop(pixels);
    return d_;
  }

 private:
  size_t pick(size_t count) { return count > 1 ? static_cast<size_t>(chance_->below(static_cast<int>(count))) : 0; }
  float contrast_of(const std::vector<double>& list) { return static_cast<float>(list[pick(list.size())]); }

  Point translated(Point from, double orientation, int distance) const {
    return moved(from, Heading(orientation), distance);
  }

  bool is_inside(Point at) const { return at.y >= 0 && at.y < p_.size && at.x >= 0 && at.x < p_.size; }

  /// Places a first paddle with its tail at `tail`; nothing when its head or pivot is outside.
  std::optional<Snake> seeded(Point tail, double orientation, float contrast) const {
    const Point head = translated(tail, orientation, p_.paddle_length);
    const Point pivot = translated(head, reversed(orientation), p_.paddle_length + d_.margin);
    if (!is_inside(head) || !is_inside(pivot)) return std::nullopt;
    const Paddle paddle = draw_paddle(p_, d_.margin, orientation);
    return Snake{maximum(Image(p_.size), pasted(p_.size, paddle.line, tail, contrast)),
                 pasted(p_.size, paddle.room, tail, 1),
                 pivot,
                 orientation,
                 tail,
                 head};
  }

  /// Where a first paddle of this orientation may begin, with `frame` pixels at the border taken; nothing at all when
  /// the border rule excludes the orientation.
  std::vector<Point> available(double orientation, int frame) const {
    const int reach = p_.paddle_length + d_.margin;
    const Patch room = draw_paddle(p_, d_.margin, orientation).room;
    std::vector<Point> footprint;
    for (int y = -reach; y <= reach; ++y) {
      for (int x = -reach; x <= reach; ++x) {
        const Point offset{y - 1, x - 1};
        if (std::max(std::abs(offset.y), std::abs(offset.x)) <= room.reach && room.at(offset) >= 1) {
          footprint.push_back({y, x});
        }
      }
    }
    const Image taken = dilated(framed(mask_, frame), footprint);
    std::vector<Point> free;
    for (int y = 0; y < p_.size; ++y) {
      for (int x = 0; x < p_.size; ++x) {
        const float value = taken.at({y, x});
        if (value == kNowhere && p_.border == Border::kLiteral) return {};
        if (value != kNowhere && value <= 0.3F) free.push_back({y, x});
      }
    }
    return free;
  }

  double degrees(int steps) const { return steps * kPi / 180; }

  bool two_snakes() {
    ++d_.attempts;
    mask_ = framed(Image(p_.size), p_.padding);
    std::vector<double> doubled = p_.snake_contrast_list;
    doubled.insert(doubled.end(), p_.snake_contrast_list.begin(), p_.snake_contrast_list.end());
    size_t first = 0;
    size_t second = 0;
    if (p_.snake_contrast_list.size() > 1) {
      first = pick(doubled.size());
      second = pick(doubled.size() - 1);
      if (second >= first) ++second;
    }
    const float contrast[2] = {static_cast<float>(doubled[first]), static_cast<float>(doubled[second])};
    snakes_.clear();
    if (!seed_first(contrast[0]) || !seed_second(contrast[1])) return false;
    ++d_.attempts_past_seeding;
    for (int i = 1; i < p_.contour_length; ++i) {
      const float paddle_contrast = contrast_of(p_.paddle_contrast_list);
      for (size_t s = 0; s < 2; ++s) {
        if (!extend(snakes_[s], paddle_contrast * contrast[s])) return false;
      }
    }
    mask_ = maximum(mask_, snakes_[1].segment);
    return true;
  }

  bool seed_first(float snake_contrast) {
    const float contrast = contrast_of(p_.paddle_contrast_list) * snake_contrast;
    for (int trial = 0; trial <= p_.max_paddle_retrial; ++trial) {
      const int degree = chance_->below(360) - 180;
      const std::vector<Point> places = available(degrees(degree), 2 * p_.seed_distance);
      if (places.empty()) return false;
      const Point tail = places[static_cast<size_t>(chance_->below(static_cast<int>(places.size())))];
      if (auto snake = seeded(tail, degrees(degree), contrast)) {
        d_.first_degree = degree;
        d_.first_tail = tail;
        snakes_.push_back(*snake);
        return true;
      }
    }
    return false;
  }

  bool seed_second(float snake_contrast) {
    const float contrast = contrast_of(p_.paddle_contrast_list) * snake_contrast;
    for (int trial = 0; trial <= p_.max_paddle_retrial; ++trial) {
      const int degree = chance_->below(360) - 180;
      const double bearing = degrees(chance_->below(360));
      const Point first = snakes_[0].first_tail;
      const Point tail{static_cast<int>(std::nearbyint(first.y + settled(p_.seed_distance * std::sin(bearing)))),
                       static_cast<int>(std::nearbyint(first.x + settled(p_.seed_distance * std::cos(bearing))))};
      if (auto snake = seeded(tail, degrees(degree), contrast)) {
        snakes_.push_back(*snake);
        return true;
      }
    }
    return false;
  }

  bool extend(Snake& snake, float contrast) {
    const int length = p_.paddle_length;
    const int margin = d_.margin;
    const Point pivot = translated(snake.pivot, snake.orientation, length + 2 * margin);
    std::vector<Point> disc;
    for (int y = -margin; y <= margin; ++y) {
      for (int x = -margin; x <= margin; ++x) {
        if (y * y + x * x <= margin * margin) disc.push_back({y, x});
      }
    }
    const Image occupied = dilated(mask_, disc);
    std::vector<Point> candidates;
    for (const Point& offset : circle_offsets(length + margin)) {
      if (is_inside(pivot + offset)) candidates.push_back(offset);
    }
    std::vector<double> sums;
    double total = 0;
    for (const Point& offset : candidates) {
      const double turn = turn_weight(snake.orientation, std::atan2(offset.y, offset.x), p_.continuity);
      total += (1 - double{occupied.at(pivot + offset)}) * turn;
      sums.push_back(total);
    }
    if (total < 1e-4) return false;
    for (int trial = 0; trial <= p_.max_paddle_retrial; ++trial) {
      const double limit = chance_->unit() * total;
      const auto chosen = std::find_if(sums.begin(), sums.end(), [&](double sum) { return sum > limit; });
      const Point offset = candidates[static_cast<size_t>(chosen - sums.begin())];
      const Point head = pivot + offset;
      const double orientation = std::atan2(offset.y, offset.x);
      const Paddle paddle = draw_paddle(p_, margin, reversed(orientation));
      const Image segment = pasted(p_.size, paddle.room, head, 1);
      double most = 0;
      for (size_t i = 0; i < segment.values.size(); ++i) {
        most = std::max(most, double{mask_.values[i]} + double{segment.values[i]});
      }
      if (most >= 1.8) continue;
      snake.image = maximum(snake.image, pasted(p_.size, paddle.line, head, contrast));
      mask_ = maximum(mask_, snake.segment);
      snake.segment = segment;
      snake.pivot = pivot;
      snake.orientation = orientation;
      snake.last_head = head;
      return true;
    }
    return false;
  }

  int many_snakes(int count, int length, int retrials) {
    int placed = 0;
    for (int i = 0; i < count; ++i) {
      for (int trial = 0; trial <= retrials; ++trial) {
        ++d_.distractor_tries;
        const Image image = image_;
        const Image mask = mask_;
        if (short_snake(length)) {
          ++placed;
          break;
        }
        image_ = image;
        mask_ = mask;
      }
    }
    return placed;
  }

  bool short_snake(int length) {
    std::optional<Snake> snake;
    const float contrast = contrast_of(p_.snake_contrast_list);
    for (int trial = 0; trial <= p_.max_paddle_retrial && !snake; ++trial) {
      const int degree = chance_->below(360) - 180;
      const auto free = std::count_if(mask_.values.begin(), mask_.values.end(), [](float v) { return v <= 0.3F; });
      if (static_cast<double>(free) < 0.01 * p_.size * p_.size) return false;
      const std::vector<Point> places = available(degrees(degree), 1);
      if (places.empty()) return false;
      const Point tail = places[static_cast<size_t>(chance_->below(static_cast<int>(places.size())))];
      snake = seeded(tail, degrees(degree), contrast);
    }
    if (!snake) return false;
    for (int i = 1; i < length; ++i) {
      if (!extend(*snake, contrast_of(p_.snake_contrast_list))) return false;
    }
    image_ = maximum(image_, snake->image);
    mask_ = maximum(mask_, snake->segment);
    return true;
  }

  /// A marker drawn on a canvas of the whole image.
  Image disc_at(Point centre) const {
    const int scale = p_.antialias_scale;
    const int fine = p_.size * scale;
    const LanczosFilter filter(fine, p_.size);
    const double radius = p_.marker_radius * scale;
    std::vector<std::vector<double>> columns(static_cast<size_t>(p_.size),
                                             std::vector<double>(static_cast<size_t>(fine)));
    for (int y = 0; y < fine; ++y) {
      std::vector<double> row(static_cast<size_t>(fine));
      for (int x = 0; x < fine; ++x) {
        const double dy = y - centre.y * scale;
        const double dx = x - centre.x * scale;
        row[static_cast<size_t>(x)] = dy * dy + dx * dx <= radius * radius ? 255 : 0;
      }
      for (int x = 0; x < p_.size; ++x) {
        columns[static_cast<size_t>(x)][static_cast<size_t>(y)] = filtered(filter, x, row, 0, p_.render);
      }
    }
    Image image(p_.size);
    for (int y = 0; y < p_.size; ++y) {
      for (int x = 0; x < p_.size; ++x) {
        image.at({y, x}) = kept(filtered(filter, y, columns[static_cast<size_t>(x)], 0, p_.render), p_.render);
      }
    }
    return image;
  }

  void develop(std::vector<uint8_t>& pixels) const {
    const Image discs = maximum(disc_at(d_.origin_marker), disc_at(d_.terminal_marker));
    const bool is_release = p_.render == Rendering::kRelease;
    const double brightest_dash = *std::max_element(image_.values.begin(), image_.values.end());
    std::vector<double> raw;
    for (size_t i = 0; i < image_.values.size(); ++i) {
      const double dash = double{image_.values[i]} / (is_release ? brightest_dash : 1);
      raw.push_back(std::max(dash, double{discs.values[i]}));
    }
    const double brightest = *std::max_element(raw.begin(), raw.end());
    pixels.clear();
    for (const double value : raw) {
      pixels.push_back(static_cast<uint8_t>(255 * value / brightest + (is_release ? 0 : 0.5)));
    }
  }

  GeneratorParameters p_;
  Chance* chance_ = nullptr;
  Description d_;
  Image mask_{0};
  Image image_{0};
  std::vector<Snake> snakes_;
};

}  // namespace lra::tasks::pathfinder::plain
