#!/usr/bin/env bash
# Rewrites the generated blocks of README.md (between `<!-- lra ... -->` and `<!-- end -->`) from the built program.
# Usage: scripts/update_readme.sh [--check]   (--check only compares, and fails when a block is stale)
set -euo pipefail
cd "$(dirname "$0")/.."

lra=${LRA_BINARY:-build/release/lra}
fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
skipping=false
while IFS= read -r line; do
  if [[ $line =~ ^'<!-- lra '(.*)' -->'$ ]]; then
    read -ra arguments <<<"${BASH_REMATCH[1]}"
    printf '%s\n```\n%s\n```\n' "$line" "$("$lra" "${arguments[@]}")"
    skipping=true
  elif [ "$line" = '<!-- end -->' ]; then
    skipping=false
    printf '%s\n' "$line"
  elif ! $skipping; then
    printf '%s\n' "$line"
  fi
done <README.md >"$fresh"

if [ "${1:-}" = --check ]; then
  diff -u README.md "$fresh" || {
    echo "README.md is stale: run scripts/update_readme.sh" >&2
    exit 1
  }
else
  cp "$fresh" README.md
fi
