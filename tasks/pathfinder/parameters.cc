#include "tasks/pathfinder/parameters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <functional>

#include "engine/errors.h"
#include "tasks/parameters.h"

namespace lra::tasks::pathfinder {
namespace {

constexpr double kMaxMarkerRadius = 32;

/// One parameter: how it is read into GeneratorParameters, and what is recorded of it.
struct Field {
  std::string name;
  std::function<void(const Parameters& set, GeneratorParameters&)> read;
  std::function<ParameterValue(const GeneratorParameters&)> value;
};

Field whole(std::string name, int GeneratorParameters::*member, int low, int high) {
  return {name,
          [=](const Parameters& set, GeneratorParameters& parameters) {
            parameters.*member = static_cast<int>(set.integer(name, parameters.*member, low, high));
          },
          [=](const GeneratorParameters& parameters) { return ParameterValue{int64_t{parameters.*member}}; }};
}

Field real(std::string name, double GeneratorParameters::*member, double low, double high) {
  return {name,
          [=](const Parameters& set, GeneratorParameters& parameters) {
            parameters.*member = set.real(name, parameters.*member, low, high);
          },
          [=](const GeneratorParameters& parameters) { return ParameterValue{parameters.*member}; }};
}

Field contrasts(std::string name, std::vector<double> GeneratorParameters::*member) {
  return {name,
          [=](const Parameters& set, GeneratorParameters& parameters) {
            constexpr double kLeast = 0.01;
            constexpr double kMost = 100;
            parameters.*member = set.reals(name, parameters.*member, kLeast, kMost);
          },
          [=](const GeneratorParameters& parameters) {
            return ParameterValue{fmt::format("{}", fmt::join(parameters.*member, ","))};
          }};
}

Field margins() {
  constexpr int64_t kMost = 8;
  return {"paddle_margin_list",
          [](const Parameters& set, GeneratorParameters& parameters) {
            const std::vector<int>& list = parameters.paddle_margin_list;
            const auto values = set.integers("paddle_margin_list", {list.begin(), list.end()}, 0, kMost);
            parameters.paddle_margin_list.assign(values.begin(), values.end());
          },
          [](const GeneratorParameters& parameters) {
            return ParameterValue{fmt::format("{}", fmt::join(parameters.paddle_margin_list, ","))};
          }};
}

Field flag(std::string name, bool GeneratorParameters::*member) {
  return {name,
          [=](const Parameters& set, GeneratorParameters& parameters) {
            parameters.*member = set.flag(name, parameters.*member);
          },
          [=](const GeneratorParameters& parameters) {
            return ParameterValue{std::string(parameters.*member ? "true" : "false")};
          }};
}

/// One of two words, of which the first is the default at every size.
template <class T>
Field choice(std::string name, T GeneratorParameters::*member, std::string first, T value_if_first, std::string second,
             T value_if_second) {
  return {name,
          [=](const Parameters& set, GeneratorParameters& parameters) {
            parameters.*member = set.choice(name, {first, second}) == first ? value_if_first : value_if_second;
          },
          [=](const GeneratorParameters& parameters) {
            return ParameterValue{parameters.*member == value_if_first ? first : second};
          }};
}

const std::vector<Field>& fields() {
  using P = GeneratorParameters;
  static const std::vector<Field> all{
      whole("padding", &P::padding, 1, 64),
      whole("antialias_scale", &P::antialias_scale, 1, 8),
      whole("seed_distance", &P::seed_distance, 0, 128),
      real("marker_radius", &P::marker_radius, 0.5, kMaxMarkerRadius),
      whole("contour_length", &P::contour_length, 2, 64),
      whole("distractor_length", &P::distractor_length, 1, 64),
      whole("num_distractor_snakes", &P::num_distractor_snakes, 0, 1000),
      whole("paddle_length", &P::paddle_length, 1, 16),
      real("paddle_thickness", &P::paddle_thickness, 0.125, 8),
      margins(),
      real("continuity", &P::continuity, 0.1, 16),
      contrasts("snake_contrast_list", &P::snake_contrast_list),
      contrasts("paddle_contrast_list", &P::paddle_contrast_list),
      whole("max_paddle_retrial", &P::max_paddle_retrial, 0, 100),
      whole("max_distractor_contour_retrial", &P::max_distractor_contour_retrial, 0, 100),
      flag("use_single_paddles", &P::use_single_paddles),
      choice("border", &P::border, "literal", Border::kLiteral, "relaxed", Border::kRelaxed),
      choice("render", &P::render, "release", Rendering::kRelease, "original", Rendering::kOriginal),
  };
  return all;
}

}  // namespace

GeneratorParameters default_parameters(int size, Difficulty difficulty) {
  GeneratorParameters parameters;
  parameters.size = size;
  int distractor_paddles = 20;  // asked for in one image
  if (size == 64) {
    distractor_paddles = 44;
    parameters.seed_distance = 12;
    parameters.marker_radius = 2.5;
    parameters.paddle_length = 5;
    parameters.paddle_thickness = 1;
    parameters.continuity = 1.8;
    parameters.snake_contrast_list = {0.8};
    parameters.paddle_contrast_list = {1};
  } else if (size == 128) {
    distractor_paddles = 70;
    parameters.seed_distance = 20;
    parameters.marker_radius = 3;
    parameters.paddle_length = 5;
    parameters.paddle_thickness = 1.5;
    parameters.paddle_margin_list = {2, 3};
    parameters.continuity = 1.8;
    parameters.snake_contrast_list = {0.9};
    parameters.paddle_contrast_list = {1};
  } else if (size == 256) {
    distractor_paddles = 30;
    parameters.padding = 22;
    parameters.seed_distance = 27;
    parameters.marker_radius = 5;
    parameters.paddle_length = 5;
    parameters.paddle_thickness = 2;
    parameters.paddle_margin_list = {3};
    parameters.continuity = 1.8;
    parameters.snake_contrast_list = {1};
    parameters.paddle_contrast_list = {1};
  } else {
    LRA_CHECK(size == 32, fmt::format("there is no Pathfinder of {} pixels", size));
  }
  parameters.contour_length = difficulty == Difficulty::kEasy ? 6 : difficulty == Difficulty::kIntermediate ? 9 : 14;
  parameters.distractor_length = difficulty == Difficulty::kEasy ? 2 : difficulty == Difficulty::kIntermediate ? 3 : 4;
  parameters.num_distractor_snakes = distractor_paddles / parameters.distractor_length;
  return parameters;
}

GeneratorParameters parse_parameters(const std::string& task, GeneratorParameters defaults,
                                     const ParameterTexts& texts) {
  std::vector<std::string> known;
  for (const Field& field : fields()) known.push_back(field.name);
  const Parameters set(task, texts, known);
  GeneratorParameters parameters = std::move(defaults);
  for (const Field& field : fields()) field.read(set, parameters);
  const double fine_thickness = parameters.paddle_thickness * parameters.antialias_scale;
  if (fine_thickness < 1 || fine_thickness != std::round(fine_thickness)) {
    throw UsageError(fmt::format("task.paddle_thickness={} times task.antialias_scale={} is not a whole number from 1",
                                 parameters.paddle_thickness, parameters.antialias_scale),
                     "for example --set task.paddle_thickness=1.5 --set task.antialias_scale=2");
  }
  return parameters;
}

std::map<std::string, ParameterValue> recorded(const GeneratorParameters& parameters) {
  std::map<std::string, ParameterValue> values;
  for (const Field& field : fields()) values[field.name] = field.value(parameters);
  return values;
}

GeneratorParameters parameters_of(const Manifest& manifest, GeneratorParameters defaults) {
  if (manifest.source.kind != "generate") return defaults;
  ParameterTexts texts;
  for (const auto& [name, value] : manifest.parameters) {
    texts["task." + name] = std::visit([](const auto& plain) { return fmt::format("{}", plain); }, value);
  }
  try {
    return parse_parameters(manifest.task, std::move(defaults), texts);
  } catch (const UsageError& error) {
    throw DataError(fmt::format("{} of `{}`: {}", kManifestFile, manifest.task, error.what()),
                    "another version wrote it, or it was altered: generate the images again with --force");
  }
}

double marker_radius_of(const Manifest& manifest, double otherwise) {
  const auto found = manifest.parameters.find("marker_radius");
  const double* radius = found == manifest.parameters.end() ? nullptr : std::get_if<double>(&found->second);
  return radius != nullptr && *radius > 0 && *radius <= kMaxMarkerRadius ? *radius : otherwise;
}

}  // namespace lra::tasks::pathfinder
