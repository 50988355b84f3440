#!/usr/bin/env bash
# Builds the Debian package: a portable program, stripped, with what it depends on found by dpkg-shlibdeps.
# Usage: scripts/package.sh   (prints the package's path: build/package/lra_VERSION_ARCHITECTURE.deb)
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_deps.sh
cmake --preset portable -B build/package -DLRA_DEVELOPER_MODE=OFF \
  -DLRA_ZSH_COMPLETION_DIR=share/zsh/vendor-completions >&2
cmake --build build/package >&2
rm -f build/package/*.deb
(cd build/package && cpack >&2)
ls "$PWD"/build/package/*.deb
