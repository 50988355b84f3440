// A file system of a chosen size, in memory, that only the process of the test and its children see.
#pragma once

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "tests/temporary_directory.h"

namespace lra::testing {

/// Mounted at path(), empty; gone when the process ends. Check mounted() first: many containers do not permit it.
class SmallDisk {
 public:
  explicit SmallDisk(uint64_t bytes) : mounted_(mount_alone(bytes)) {
    if (!mounted_) why_not_ = std::string("mounting is not permitted here: ") + std::strerror(errno);
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path().c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  const std::string& why_not() const { return why_not_; }
  const std::filesystem::path& path() const { return directory_.path(); }
  std::filesystem::path operator/(std::string_view name) const { return path() / name; }

  bool resize(uint64_t bytes) const {
    return ::mount("lra_small", path().c_str(), "tmpfs", MS_REMOUNT, size_option(bytes).c_str()) == 0;
  }
  bool make_read_only() const {
    return ::mount("lra_small", path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }

 private:
  static std::string size_option(uint64_t bytes) { return "size=" + std::to_string(bytes); }

  /// In a name space of its own, so that nobody else sees the mount. False with errno set.
  bool mount_alone(uint64_t bytes) const {
    const uid_t user = ::geteuid();
    const gid_t group = ::getegid();
    const int user_namespace = user == 0 ? 0 : CLONE_NEWUSER;  // without privileges: root of a name space
    if (::unshare(CLONE_NEWNS | user_namespace) != 0) return false;
    if (user != 0) {
      std::ofstream("/proc/self/setgroups") << "deny";
      std::ofstream("/proc/self/uid_map") << "0 " << user << " 1";
      std::ofstream("/proc/self/gid_map") << "0 " << group << " 1";
    }
    return ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("lra_small", path().c_str(), "tmpfs", 0, size_option(bytes).c_str()) == 0;
  }

  TemporaryDirectory directory_;
  bool mounted_;
  std::string why_not_;
};

}  // namespace lra::testing
