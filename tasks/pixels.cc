#include "tasks/pixels.h"

#include <cstdint>

namespace lra::tasks {

std::vector<std::string> pixel_vocabulary() {
  std::vector<std::string> symbols;
  for (int value = 0; value <= UINT8_MAX; ++value) symbols.push_back(std::to_string(value));
  return symbols;
}

}  // namespace lra::tasks
