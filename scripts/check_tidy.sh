#!/usr/bin/env bash
# Looks for mistakes with clang-tidy 14, as .clang-tidy says, in the sources of the program and the headers they
# include: one line a finding, exit 1 on any. Needs a built preset, for its compile commands and generated headers. What
# that preset compiles several at once (LRA_JOIN_LIBRARIES, as in `clang`) is looked at so.
# Usage: scripts/check_tidy.sh [--deep] [FILE.cc...]   (all of engine/ attention/ tasks/ reports/ harness/ without FILE)
#   --deep   with the static analyser, too, which takes twice as long
# LRA_BUILD: the build directory (build/release). LRA_JOBS: files at once (all cores).
set -euo pipefail
cd "$(dirname "$0")/.."

build=${LRA_BUILD:-build/release}
checks=()
if [ "${1:-}" = --deep ]; then
  checks=("--checks=clang-analyzer-*,-clang-analyzer-optin.performance.Padding")
  shift
fi
tidy=$(command -v clang-tidy-14) || {
  echo "check_tidy: clang-tidy 14 is not installed; run scripts/install_deps.sh" >&2
  exit 2
}
if [ ! -e "$build/compile_commands.json" ] || [ ! -d "$build/generated" ]; then
  echo "check_tidy: $build is not built; run cmake --preset release && cmake --build --preset release" >&2
  exit 2
fi
if [ $# -eq 0 ]; then
  mapfile -t files < <(sed -n -E "s#^ *\"file\": \"$PWD/(.*)\",?\$#\1#p" "$build/compile_commands.json" |
    grep -E "^($build/)?(engine|attention|tasks|reports|harness)/" | sort -u)
  if [ ${#files[@]} -eq 0 ]; then
    echo "check_tidy: $build/compile_commands.json names no source below $PWD; configure it there" >&2
    exit 2
  fi
else
  files=("$@")
fi

# One output a file, so that those of two at once do not mix.
outputs=$(mktemp -d)
trap 'rm -rf "$outputs"' EXIT
failed=0
printf '%s\0' "${files[@]}" |
  xargs -0 -P "${LRA_JOBS:-$(nproc)}" -I {} bash -c '
    exec "${@:3}" "$1" >"$2/${1//\//_}" 2>&1' _ {} "$outputs" "$tidy" -p "$build" --quiet ${checks[@]+"${checks[@]}"} ||
  failed=1

# A header's finding comes from every source that includes it.
findings=$(cat "$outputs"/* | sed -n -E "s#^$PWD/##; s/,-warnings-as-errors\]$/]/; /^[^ ]+:[0-9]+:[0-9]+: (error|warning): /p" | sort -u)
if [ -n "$findings" ]; then
  printf '%s\n' "$findings"
  echo "check_tidy: $(wc -l <<<"$findings") findings in ${#files[@]} files" >&2
  exit 1
fi
if [ $failed -ne 0 ]; then
  cat "$outputs"/* >&2
  echo "check_tidy: clang-tidy failed" >&2
  exit 2
fi
echo "check_tidy: ${#files[@]} files, no findings" >&2
