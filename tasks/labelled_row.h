// Labelled texts as lines, the way custom_text imports them.
#pragma once

#include <cstdint>
#include <string>

#include "tasks/dataset.h"

namespace lra::tasks {

/// "label<TAB>text", the label by name, ended by CR LF because a text may end with CR. Characters that the vocabulary
/// lacks are U+FFFD. Throws: UsageError for a text with a line feed, which no line can hold; DataError for ids that are
/// no characters.
std::string labelled_row(const Dataset& dataset, const Split& split, int64_t example);

}  // namespace lra::tasks
