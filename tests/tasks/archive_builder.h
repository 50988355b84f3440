// Archives for tests, made by libarchive: what they hold is given as (name, content) or as odd entries.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <algorithm>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace lra::testing {

struct ArchiveEntry {
  std::string name;
  std::string content = "";
  mode_t type = AE_IFREG;
  std::string link = "";       // target of a symbolic link (type AE_IFLNK)
  std::string hard_link = "";  // target of a hard link
};

/// Writes an archive whose format and compression follow from the name: .tar, .tar.gz, .gz, .tar.xz, .zip.
inline void write_archive(const std::filesystem::path& path, const std::vector<ArchiveEntry>& entries) {
  archive* const writer = ::archive_write_new();
  const std::string name = path.filename().string();
  if (name.ends_with(".zip")) {
    ::archive_write_set_format_zip(writer);
  } else {
    ::archive_write_set_format_pax_restricted(writer);
  }
  if (name.ends_with("gz")) ::archive_write_add_filter_gzip(writer);
  if (name.ends_with("xz")) ::archive_write_add_filter_xz(writer);
  ASSERT_EQ(::archive_write_open_filename(writer, path.c_str()), ARCHIVE_OK) << ::archive_error_string(writer);
  for (const ArchiveEntry& entry : entries) {
    archive_entry* const header = ::archive_entry_new();
    ::archive_entry_set_pathname(header, entry.name.c_str());
    ::archive_entry_set_filetype(header, entry.type);
    ::archive_entry_set_perm(header, 0644);
    ::archive_entry_set_size(header, static_cast<la_int64_t>(entry.content.size()));
    if (!entry.link.empty()) ::archive_entry_set_symlink(header, entry.link.c_str());
    if (!entry.hard_link.empty()) ::archive_entry_set_hardlink(header, entry.hard_link.c_str());
    ASSERT_EQ(::archive_write_header(writer, header), ARCHIVE_OK) << ::archive_error_string(writer);
    if (!entry.content.empty()) {
      ASSERT_EQ(::archive_write_data(writer, entry.content.data(), entry.content.size()),
                static_cast<la_ssize_t>(entry.content.size()));
    }
    ::archive_entry_free(header);
  }
  ASSERT_EQ(::archive_write_close(writer), ARCHIVE_OK) << ::archive_error_string(writer);
  ::archive_write_free(writer);
}

/// An archive of all files below `directory`, in the reverse of the order of their names.
inline void write_archive_of(const std::filesystem::path& path, const std::filesystem::path& directory) {
  std::vector<ArchiveEntry> entries;
  for (const auto& file : std::filesystem::recursive_directory_iterator(directory)) {
    if (file.is_regular_file()) {
      std::ifstream stream(file.path(), std::ios::binary);
      entries.push_back({.name = std::filesystem::relative(file.path(), directory).string(),
                         .content = {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()}});
    }
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name > b.name; });
  write_archive(path, entries);
}

}  // namespace lra::testing
