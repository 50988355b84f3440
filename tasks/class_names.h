// The classes of users' own data: their names as the data give them, in an order that does not depend on the data's.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lra::tasks {

/// Collects names while the data are looked through, then numbers them.
class ClassNames {
 public:
  static constexpr size_t kMaxClasses = 256;  // labels are one byte
  static constexpr size_t kMaxNameBytes = 100;

  /// What is wrong with a name (empty, too long, controls or bytes that are not UTF-8), or with one more class; nothing
  /// when it has been added.
  std::string add(std::string_view name);

  /// Numbers the names: by value when all are whole numbers, else by their bytes. Call it once, after the last add().
  void finish();

  /// label -> name.
  const std::vector<std::string>& names() const { return names_; }

  /// Throws: DataError for a name that was not added: the data changed between two readings.
  int label_of(std::string_view name) const;

 private:
  std::map<std::string, int, std::less<>> labels_;
  std::vector<std::string> names_;
};

}  // namespace lra::tasks
