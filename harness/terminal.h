// What is known of the terminal that standard output or standard error is: its width, and whether to draw on it.
#pragma once

#include <string>

namespace lra::harness {

/// Columns for text on `file_descriptor`: $COLUMNS where it is set, else the terminal's width, else `otherwise`.
int columns(int file_descriptor, int otherwise);

/// Whether the terminal takes control sequences: it is one, and TERM is neither empty nor `dumb`.
bool takes_control_sequences(int file_descriptor);

/// Likewise, and NO_COLOR is not set.
bool takes_colour(int file_descriptor);

/// Columns of reports on standard output: the window's, up to reports::kTextWidth.
int report_width();

/// Columns of tables on standard output: the window's, or all that they need where there is none (files, pipes).
int table_width();

}  // namespace lra::harness
