#!/usr/bin/env bash
# Fails when a C++ file is not formatted as .clang-format says. Usage: scripts/check_format.sh [--fix]
set -euo pipefail
cd "$(dirname "$0")/.."

mode=(--dry-run --Werror)
[ "${1:-}" = "--fix" ] && mode=(-i)
git ls-files -z '*.cc' '*.h' | xargs -0 clang-format "${mode[@]}"
