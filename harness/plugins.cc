#include "harness/plugins.h"

#include <dlfcn.h>
#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>

#include "attention/registry.h"
#include "engine/errors.h"
#include "engine/io/file.h"
#include "engine/io/sha256.h"
#include "plugin_stamp.h"

namespace lra::harness {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kElf =
    "\x7f"
    "ELF";
constexpr std::string_view kStampBegin = "lra-plugin-stamp ";  // of kStamp, as cmake/plugin_stamp.cmake makes it
constexpr std::string_view kStamp = LRA_PLUGIN_STAMP;
static_assert(kStamp.starts_with(kStampBegin));
constexpr const char* kConstructors = "mend the constructors of its mechanisms and build it again";
constexpr const char* kBuild = "build it with `lra_add_plugin` (docs/adding-a-mechanism.md)";

std::vector<Plugin>& plugins() {
  static std::vector<Plugin> loaded;
  return loaded;
}

[[noreturn]] void refuse(const std::string& path, const std::string& problem, const std::string& hint) {
  throw UsageError(fmt::format("[--plugin] {} {}", path, problem), hint);
}

/// What the stamp says after its beginning; empty when the file has none.
std::string_view stamp_in(std::string_view bytes) {
  const size_t begin = bytes.find(kStampBegin);
  if (begin == std::string_view::npos) return "";
  const std::string_view rest = bytes.substr(begin + kStampBegin.size());
  constexpr size_t kLongest = 200;
  const size_t end = rest.substr(0, kLongest).find('\0');
  return end == std::string_view::npos ? "" : rest.substr(0, end);
}

/// Whether all that the headers of an ELF file speak of lies within it: the loader believes them, and a file that was
/// cut short ends the program.
bool is_whole(std::string_view bytes) {
  Elf64_Ehdr header{};
  if (bytes.size() < sizeof header) return false;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64) return true;  // the loader refuses it
  const auto holds = [&](uint64_t offset, uint64_t size) {
    return offset <= bytes.size() && size <= bytes.size() - offset;
  };
  if (!holds(header.e_shoff, uint64_t{header.e_shnum} * header.e_shentsize)) return false;
  if (!holds(header.e_phoff, uint64_t{header.e_phnum} * sizeof(Elf64_Phdr))) return false;
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    std::memcpy(&segment, bytes.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_type == PT_LOAD && !holds(segment.p_offset, segment.p_filesz)) return false;
  }
  return true;
}

/// The content of what is meant to be a plug-in for this program. It is not run before this has been looked at.
std::string checked_bytes(const std::string& given) {
  std::error_code error;
  if (!fs::exists(given, error)) refuse(given, "does not exist", "give the path of a shared object, as ./libmine.so");
  if (!fs::is_regular_file(given, error)) refuse(given, "is not a file", "give the path of a shared object");
  std::string bytes = io::read_text_file(given);
  if (!bytes.starts_with(kElf)) refuse(given, "is no shared object", kBuild);
  if (!is_whole(bytes)) refuse(given, "is cut short", "copy it or build it again");
  const std::string_view stamp = stamp_in(bytes), ours = kStamp.substr(kStampBegin.size());
  if (stamp.empty()) refuse(given, "has no stamp of the lra it was built for", kBuild);
  if (stamp != ours)
    refuse(given, fmt::format("was built for lra {}, this is lra {}", stamp, ours),
           "build it again against the headers of this program: cmake -DCMAKE_PREFIX_PATH=<its prefix> …");
  return bytes;
}

/// Runs the plug-in's constructors, which register its mechanisms.
void open_library(const std::string& given) {
  // dlopen() is declared to throw nothing, but constructors that throw are run by it.
  void* (*const volatile open)(const char*, int) = dlopen;
  try {
    // An absolute path: without a slash the system's folders would be searched.
    if (open(fs::absolute(given).c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr) return;
  } catch (const std::exception& thrown) {
    refuse(given, fmt::format("threw while it was loaded: {}", thrown.what()), kConstructors);
  } catch (...) {
    refuse(given, "threw what is no std::exception while it was loaded", kConstructors);
  }
  const char* problem = dlerror();
  refuse(given, fmt::format("cannot be loaded: {}", problem == nullptr ? "no reason is given" : problem),
         "a plug-in may call what its headers declare (include/lra) and the libraries it is linked with");
}

}  // namespace

void load_plugin(const std::string& path) {
  Plugin plugin{
      .file = fs::path(path).filename().string(), .given = path, .sha256 = io::sha256_hex(checked_bytes(path))};
  const auto same = [&](const Plugin& other) { return other.sha256 == plugin.sha256; };
  if (std::any_of(plugins().begin(), plugins().end(), same)) return;
  plugin.mechanisms = attention::register_from(plugin.file, [&] { open_library(path); });
  if (plugin.mechanisms.empty())
    refuse(path, "registers no mechanism",
           "end its .cc file with `const Registration kRegistration(std::make_unique<Mine>());`");
  plugins().push_back(std::move(plugin));
}

const std::vector<Plugin>& loaded_plugins() { return plugins(); }

const Plugin* plugin_with(const std::string& attention) {
  for (const Plugin& plugin : plugins())
    if (std::find(plugin.mechanisms.begin(), plugin.mechanisms.end(), attention) != plugin.mechanisms.end())
      return &plugin;
  return nullptr;
}

std::string command_on(const std::string& command, const std::string& attention) {
  const Plugin* plugin = plugin_with(attention);
  return fmt::format("lra {}{} --attention {}", command, plugin == nullptr ? "" : " --plugin " + plugin->given,
                     attention);
}

const attention::Mechanism& mechanism_of(const TrainConfig& config) {
  const AttentionConfig& asked = config.attention;
  const std::vector<std::string> known = attention::names();
  if (!asked.plugin.empty() && std::find(known.begin(), known.end(), asked.name) == known.end())
    throw UsageError(fmt::format("[attention.name] `{}` is not part of this program: the configuration has it from {} "
                                 "(SHA-256 {})",
                                 asked.name, asked.plugin, asked.plugin_sha256.substr(0, 12)),
                     fmt::format("add --plugin PATH/{}", asked.plugin));
  return attention::find(asked.name);
}

void fill_in_plugin(TrainConfig& config) {
  const Plugin* plugin = plugin_with(config.attention.name);
  config.attention.plugin = plugin == nullptr ? "" : plugin->file;
  config.attention.plugin_sha256 = plugin == nullptr ? "" : plugin->sha256;
}

std::string changed_plugin(const TrainConfig& earlier, const TrainConfig& config) {
  const AttentionConfig &before = earlier.attention, &after = config.attention;
  if (before.plugin_sha256 == after.plugin_sha256) return "";
  const auto text = [](const AttentionConfig& attention) {
    return attention.plugin.empty()
               ? "this program"
               : fmt::format("{} of SHA-256 {}", attention.plugin, attention.plugin_sha256.substr(0, 12));
  };
  return fmt::format("attention {} was from {} when the run started, and is from {}", after.name, text(before),
                     text(after));
}

}  // namespace lra::harness
