#!/usr/bin/env bash
# Installs, builds the release preset and runs every test. Usage: scripts/test.sh [ctest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_deps.sh
cmake --preset release -DLRA_DEVELOPER_MODE=ON >/dev/null
cmake --build --preset release >&2
ctest --preset release --no-tests=error -j "$(nproc)" "$@"
