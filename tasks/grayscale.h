// Colours as one of 256 grays, in the two ways of the literature.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lra::tasks {

enum class Grayscale {
  kTf,   // TensorFlow's rgb_to_grayscale, as the benchmark: floor((0.2989 r + 0.5870 g + 0.1140 b) * 255.5 / 255)
  kPil,  // Pillow's mode L, as S4's code: (19595 r + 38470 g + 7471 b + 32768) >> 16
};

/// The parameter `task.grayscale`; the first is the default.
inline const std::vector<std::string>& grayscale_choices() {
  static const std::vector<std::string> choices{"tf", "pil"};
  return choices;
}

inline Grayscale grayscale_named(const std::string& name) { return name == "pil" ? Grayscale::kPil : Grayscale::kTf; }

/// In whole numbers: the same on every processor.
constexpr uint8_t to_gray(Grayscale how, uint8_t r, uint8_t g, uint8_t b) {
  if (how == Grayscale::kPil) return static_cast<uint8_t>((19595U * r + 38470U * g + 7471U * b + 32768U) >> 16);
  const uint64_t sum = uint64_t{2989} * r + uint64_t{5870} * g + uint64_t{1140} * b;  // of 10,000ths
  return static_cast<uint8_t>(sum * 2555 / (uint64_t{10'000} * 255 * 10));
}

}  // namespace lra::tasks
