// The parameters of the Pathfinder generator and their values for each size and difficulty.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tasks/manifest.h"
#include "tasks/task.h"

namespace lra::tasks::pathfinder {

enum class Difficulty { kEasy, kIntermediate, kHard };

/// What becomes of an orientation for which some pixel's whole paddle would lie outside the image.
enum class Border {
  kLiteral,  // it is never used, as in the original program: small images have seeds that point up and left only
  kRelaxed,  // that pixel alone is not eligible
};

enum class Rendering {
  kRelease,   // as the published images: no rounding before the last step, dashes as bright in every image
  kOriginal,  // as the original program: 8 bits after each step, brightness depends on whether there are distractors
};

/// Lengths are in pixels, contrasts relative to a marker. Every member but `size` is set by `--set
/// task.<name>=<value>`.
struct GeneratorParameters {
  int size = 32;            // of a side
  int padding = 1;          // width of the frame that nothing enters
  int antialias_scale = 2;  // fine pixels a pixel while drawing
  int seed_distance = 7;    // between the first tails of the two contours
  double marker_radius = 1.5;
  int contour_length = 14;        // paddles of each of the two contours
  int distractor_length = 4;      // paddles of a distractor
  int num_distractor_snakes = 5;  // tried; fewer find room
  int paddle_length = 2;
  double paddle_thickness = 0.5;           // times antialias_scale: a whole number
  std::vector<int> paddle_margin_list{1};  // free pixels round a paddle; an image has one of them
  double continuity = 1;                   // greater: straighter contours
  std::vector<double> snake_contrast_list{2};
  std::vector<double> paddle_contrast_list{0.75};  // of the two contours, times a snake contrast
  int max_paddle_retrial = 2;                      // further draws of a paddle that would touch another
  int max_distractor_contour_retrial = 4;          // further tries of a distractor
  bool use_single_paddles = false;                 // fill what is left with lone paddles
  Border border = Border::kLiteral;
  Rendering render = Rendering::kRelease;
};

/// The parameters of the Long-Range Arena; `size` is 32, 64, 128 or 256.
GeneratorParameters default_parameters(int size, Difficulty difficulty);

/// `defaults` changed by `task.<name>` texts; lists are separated by commas.
/// Throws: UsageError for other keys (with near matches) and for values that are out of range or make no sense
/// together.
GeneratorParameters parse_parameters(const std::string& task, GeneratorParameters defaults,
                                     const ParameterTexts& texts);

/// For the manifest: every parameter under its name, as it would be typed.
std::map<std::string, ParameterValue> recorded(const GeneratorParameters& parameters);

/// Those of a generated dataset, from its manifest; `defaults` for an imported one.
/// Throws: DataError for a manifest that records other parameters.
GeneratorParameters parameters_of(const Manifest& manifest, GeneratorParameters defaults);

/// That of a generated dataset; `otherwise` where the manifest tells none. Never an error: baselines are computed when
/// a training ends.
double marker_radius_of(const Manifest& manifest, double otherwise);

}  // namespace lra::tasks::pathfinder
