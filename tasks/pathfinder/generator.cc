#include "tasks/pathfinder/generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/errors.h"
#include "tasks/pathfinder/occupancy.h"

namespace lra::tasks::pathfinder {
namespace {

constexpr int64_t kHopelessAttempts = 1'048'576;  // the hardest of the usual settings takes 4,000 an image
constexpr double kLeastWeight = 1e-4;             // of all turns together
constexpr double kLeastFree = 0.01;               // of all pixels, for a distractor
constexpr double kBasePaddles = 150;              // see single_paddles

/// Where a paddle has been drawn.
struct Dash {
  Point start;
  DirectionId direction = 0;
  float contrast = 1;
};

/// The growing end of a contour.
struct Tip {
  Dash dash;    // the last one; it is not in the occupied room yet
  Point pivot;  // round which it was turned
  Point head;   // its far end
};

/// What is drawn before anything else, so that no rejection can bias it.
struct Choice {
  int label = 0;
  size_t margin_index = 0;
};

Choice choice_of(const GeneratorParameters& parameters, Chance& chance) {
  Choice choice{.label = chance.below(2)};
  const auto margins = static_cast<int>(parameters.paddle_margin_list.size());
  if (margins > 1) choice.margin_index = static_cast<size_t>(chance.below(margins));
  return choice;
}

/// The paddles that fit beside each other at this margin, by the original program's rule, less those of longer snakes.
int single_paddles(const GeneratorParameters& parameters, int margin) {
  const double factor = 123.5 / (7.5 + 13 * margin + 4 * margin * margin);
  return static_cast<int>(kBasePaddles * factor) - 2 * parameters.contour_length -
         parameters.num_distractor_snakes * parameters.distractor_length;
}

}  // namespace

class Painter::Work {
 public:
  explicit Work(std::shared_ptr<const Tables> tables)
      : tables_(std::move(tables)),
        parameters_(tables_->parameters()),
        occupancy_(parameters_.size, parameters_.padding, tables_->halo()),
        frame_(parameters_.size),
        blocked_(parameters_.size),
        free_(parameters_.size),
        stride_(parameters_.size + 2 * tables_->halo() + kStampLanes),
        canvas_(static_cast<size_t>(stride_) * static_cast<size_t>(parameters_.size + 2 * tables_->halo())),
        discs_(static_cast<size_t>(parameters_.size) * static_cast<size_t>(parameters_.size)) {
    frame_.set_frame(parameters_.padding);
    for (size_t m = 0; m < parameters_.paddle_margin_list.size(); ++m) {
      near_.emplace_back();
      for (const Point& offset : tables_->margin(m).near) near_.back().push_back(occupancy_.distance_of(offset));
    }
  }

  Description paint(Chance chance, std::span<uint8_t> pixels) {
    chance_ = &chance;
    description_ = {};
    const Choice choice = choice_of(parameters_, chance);
    description_.label = choice.label;
    margin_index_ = choice.margin_index;
    margin_ = &tables_->margin(margin_index_);
    description_.margin = margin_->margin;
    while (!try_contours()) {
      if (description_.attempts == kHopelessAttempts) {
        throw UsageError(
            fmt::format("no two contours of {} paddles found room in {} attempts", parameters_.contour_length,
                        kHopelessAttempts),
            "take a smaller task.contour_length, task.paddle_length, task.paddle_margin_list or task.padding");
      }
    }
    blocked_ = frame_;
    occupancy_.mark_blocked(0, blocked_);
    const int found = place_snakes(parameters_.num_distractor_snakes, parameters_.distractor_length,
                                   parameters_.max_distractor_contour_retrial);
    description_.distractors = found;
    if (parameters_.use_single_paddles) {
      place_snakes(single_paddles(parameters_, margin_->margin), 1, parameters_.max_paddle_retrial);
    }
    const int origin = chance.below(2);
    description_.origin_marker = tails_[origin];
    description_.terminal_marker = tips_[description_.label == 1 ? origin : 1 - origin].head;
    draw_dashes();
    draw_discs();
    develop(pixels);
    return description_;
  }

 private:
  float pick(const std::vector<double>& contrasts) {
    const auto count = static_cast<int>(contrasts.size());
    return static_cast<float>(contrasts[static_cast<size_t>(count > 1 ? chance_->below(count) : 0)]);
  }

  bool has_seed(Point head, Point pivot) const { return occupancy_.is_inside(head) && occupancy_.is_inside(pivot); }

  void begin(Tip& tip, Point tail, int degree, float contrast) {
    const int length = parameters_.paddle_length;
    tip.head = moved(tail, margin_->headings[static_cast<size_t>(degree)], length);
    tip.pivot = moved(tip.head, margin_->reversed_headings[static_cast<size_t>(degree)], length + margin_->margin);
    tip.dash = {tail, degree, contrast};
    dashes_.push_back(tip.dash);
  }

  /// Whether a paddle found room after the last; the earlier one is then in the occupied room.
  bool extend(Tip& tip, float contrast) {
    const Point pivot = moved(tip.pivot, margin_->headings[static_cast<size_t>(tip.dash.direction)],
                              parameters_.paddle_length + 2 * margin_->margin);
    const std::span<const std::ptrdiff_t> near = near_[margin_index_];
    double total = 0;
    size_t open = 0;
    for (const Turn& turn : margin_->turns[static_cast<size_t>(tip.dash.direction)]) {
      const Point head = pivot + turn.offset;
      if (!occupancy_.is_inside(head)) continue;
      total += (1 - double{occupancy_.most_near(head, near)}) * turn.weight;
      reached_[open] = total;
      turns_[open++] = &turn;
    }
    if (total < kLeastWeight) return false;
    for (int trial = 0; trial <= parameters_.max_paddle_retrial; ++trial) {
      const double limit = chance_->unit() * total;
      size_t chosen = 0;
      while (chosen + 1 < open && reached_[chosen] <= limit) ++chosen;
      const Point head = pivot + turns_[chosen]->offset;
      const DirectionId direction = kDegrees + turns_[chosen]->candidate;
      if (!occupancy_.has_room(head, margin_->rooms[static_cast<size_t>(direction)])) continue;
      settle(tip);
      tip = {{head, direction, contrast}, pivot, head};
      dashes_.push_back(tip.dash);
      return true;
    }
    return false;
  }

  /// The last paddle of a snake occupies its room.
  void settle(const Tip& tip) {
    occupancy_.add(tip.dash.start, margin_->rooms[static_cast<size_t>(tip.dash.direction)]);
  }

  bool try_contours() {
    ++description_.attempts;
    occupancy_.take_back(0);
    dashes_.clear();
    const std::vector<double>& contrasts = parameters_.snake_contrast_list;
    const auto count = static_cast<int>(contrasts.size());
    int first = 0;
    int second = 0;
    if (count > 1) {  // two of the list and the list again, without putting back
      first = chance_->below(2 * count);
      second = chance_->below(2 * count - 1);
      if (second >= first) ++second;
    }
    const float contrast[2] = {static_cast<float>(contrasts[static_cast<size_t>(first % count)]),
                               static_cast<float>(contrasts[static_cast<size_t>(second % count)])};
    if (!seed_first(contrast[0]) || !seed_second(contrast[1])) return false;
    ++description_.attempts_past_seeding;
    for (int i = 1; i < parameters_.contour_length; ++i) {
      const float paddle_contrast = pick(parameters_.paddle_contrast_list);
      for (int s = 0; s < 2; ++s) {
        if (!extend(tips_[s], paddle_contrast * contrast[s])) return false;
      }
    }
    settle(tips_[1]);
    return true;
  }

  bool seed_first(float contrast) {
    const float paddle_contrast = pick(parameters_.paddle_contrast_list) * contrast;
    for (int trial = 0; trial <= parameters_.max_paddle_retrial; ++trial) {
      const int degree = chance_->below(kDegrees);
      const Places& places = margin_->first_tails[static_cast<size_t>(degree)];
      if (places.count == 0) return false;
      const Point tail = places.plane.find(chance_->below(places.count));
      begin(tips_[0], tail, degree, paddle_contrast);
      if (has_seed(tips_[0].head, tips_[0].pivot)) {
        tails_[0] = tail;
        description_.first_degree = degree + kFirstDegree;
        description_.first_tail = tail;
        return true;
      }
      dashes_.pop_back();
    }
    return false;
  }

  bool seed_second(float contrast) {
    const float paddle_contrast = pick(parameters_.paddle_contrast_list) * contrast;
    for (int trial = 0; trial <= parameters_.max_paddle_retrial; ++trial) {
      const int degree = chance_->below(kDegrees);
      const double bearing = radians(chance_->below(kDegrees));
      const Point tail{
          static_cast<int>(std::nearbyint(tails_[0].y + settled(parameters_.seed_distance * std::sin(bearing)))),
          static_cast<int>(std::nearbyint(tails_[0].x + settled(parameters_.seed_distance * std::cos(bearing))))};
      begin(tips_[1], tail, degree, paddle_contrast);
      if (has_seed(tips_[1].head, tips_[1].pivot)) {
        tails_[1] = tail;
        return true;
      }
      dashes_.pop_back();
    }
    return false;
  }

  /// Places up to `count` snakes, trying each 1 + `retrials` times; returns how many found room.
  int place_snakes(int count, int length, int retrials) {
    int found = 0;
    for (int i = 0; i < count; ++i) {
      for (int trial = 0; trial <= retrials; ++trial) {
        ++description_.distractor_tries;
        const size_t mark = occupancy_.mark();
        const size_t dashes = dashes_.size();
        if (try_snake(length)) {
          occupancy_.mark_blocked(mark, blocked_);
          ++found;
          break;
        }
        occupancy_.take_back(mark);
        dashes_.resize(dashes);
      }
    }
    return found;
  }

  bool try_snake(int length) {
    Tip tip;
    if (!seed_anywhere(tip)) return false;
    for (int i = 1; i < length; ++i) {
      if (!extend(tip, pick(parameters_.snake_contrast_list))) return false;
    }
    settle(tip);
    return true;
  }

  bool seed_anywhere(Tip& tip) {
    const float contrast = pick(parameters_.snake_contrast_list);
    const int all = parameters_.size * parameters_.size;
    for (int trial = 0; trial <= parameters_.max_paddle_retrial; ++trial) {
      const int degree = chance_->below(kDegrees);
      if (!margin_->survives[static_cast<size_t>(degree)] || all - blocked_.count() < kLeastFree * all) return false;
      meet(blocked_, margin_->footprints[static_cast<size_t>(degree)], free_);
      free_.invert();
      if (!margin_->eligible.empty()) free_.intersect(margin_->eligible[static_cast<size_t>(degree)]);
      const int places = free_.count();
      if (places == 0) return false;
      begin(tip, free_.find(chance_->below(places)), degree, contrast);
      if (has_seed(tip.head, tip.pivot)) return true;
      dashes_.pop_back();
    }
    return false;
  }

  size_t canvas_index(Point at) const {
    const int halo = tables_->halo();
    return static_cast<size_t>(at.y + halo) * static_cast<size_t>(stride_) + static_cast<size_t>(at.x + halo);
  }

  void draw_dashes() {
    std::fill(canvas_.begin(), canvas_.end(), 0.0F);
    for (const Dash& dash : dashes_) {
      const Stamp& line = margin_->lines[static_cast<size_t>(dash.direction)];
      float* to = canvas_.data() + canvas_index(dash.start + line.corner);
      const float* from = line.values.data();
      for (int y = 0; y < line.rows; ++y, to += stride_, from += line.stride) {
#pragma omp simd
        for (int x = 0; x < line.stride; ++x) {
          const float value = dash.contrast * from[x];
          to[x] = value > to[x] ? value : to[x];
        }
      }
    }
  }

  void draw_discs() {
    std::fill(discs_.begin(), discs_.end(), 0.0F);
    for (const Point centre : {description_.origin_marker, description_.terminal_marker}) {
      const Disc disc = draw_disc(parameters_, tables_->disc_filter(), centre);
      for (int y = 0; y < disc.rows; ++y) {
        for (int x = 0; x < disc.columns; ++x) {
          float& to = discs_[static_cast<size_t>((disc.corner.y + y) * parameters_.size + disc.corner.x + x)];
          to = std::max(to, disc.values[static_cast<size_t>(y * disc.columns + x)]);
        }
      }
    }
  }

  /// Brings dashes and discs together and to 0..255.
  void develop(std::span<uint8_t> pixels) const {
    constexpr double kWhite = 255;
    const int side = parameters_.size;
    const bool is_release = parameters_.render == Rendering::kRelease;
    const auto dash_row = [&](int y) { return canvas_.data() + canvas_index({y, 0}); };
    float dash_most = 0;
    float disc_most = 0;
    for (int y = 0; y < side; ++y) {
      const float* dashes = dash_row(y);
      const float* discs = discs_.data() + static_cast<size_t>(y * side);
#pragma omp simd reduction(max : dash_most, disc_most)
      for (int x = 0; x < side; ++x) {
        dash_most = dashes[x] > dash_most ? dashes[x] : dash_most;
        disc_most = discs[x] > disc_most ? discs[x] : disc_most;
      }
    }
    const double unit = is_release ? double{dash_most} : 1;
    const double most = std::max(double{dash_most} / unit, double{disc_most});
    const double rounding = is_release ? 0 : 0.5;
    for (int y = 0; y < side; ++y) {
      const float* dashes = dash_row(y);
      const float* discs = discs_.data() + static_cast<size_t>(y * side);
      uint8_t* to = pixels.data() + static_cast<size_t>(y * side);
#pragma omp simd
      for (int x = 0; x < side; ++x) {
        const double dash = double{dashes[x]} / unit;
        const double disc = discs[x];
        to[x] = static_cast<uint8_t>(static_cast<int>(kWhite * (dash > disc ? dash : disc) / most + rounding));
      }
    }
  }

  std::shared_ptr<const Tables> tables_;
  const GeneratorParameters& parameters_;
  Occupancy occupancy_;
  std::vector<std::vector<std::ptrdiff_t>> near_;  // by margin: MarginTables::near in the memory of occupancy_
  BitPlane frame_;
  BitPlane blocked_;  // for seeds of distractors
  BitPlane free_;
  int stride_;
  std::vector<float> canvas_;  // dashes, with the halo of the tables
  std::vector<float> discs_;   // [size, size]
  std::vector<Dash> dashes_;
  std::array<double, kDegrees> reached_{};  // sums of the weights of open turns
  std::array<const Turn*, kDegrees> turns_{};

  Chance* chance_ = nullptr;
  size_t margin_index_ = 0;
  const MarginTables* margin_ = nullptr;
  Description description_;
  std::array<Tip, 2> tips_;
  std::array<Point, 2> tails_;
};

int margin_of(const GeneratorParameters& parameters, uint64_t seed, uint64_t image) {
  Chance chance(seed, image);
  return parameters.paddle_margin_list[choice_of(parameters, chance).margin_index];
}

Painter::Painter(std::shared_ptr<const Tables> tables) : work_(std::make_unique<Work>(std::move(tables))) {}

Painter::~Painter() = default;

Description Painter::paint(uint64_t seed, uint64_t image, std::span<uint8_t> pixels) {
  return work_->paint(Chance(seed, image), pixels);
}

}  // namespace lra::tasks::pathfinder
