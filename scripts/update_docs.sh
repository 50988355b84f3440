#!/usr/bin/env bash
# Keeps the documents in step with the program: rewrites what it prints in README.md and docs/mechanisms/*.md (between
# `<!-- lra ARGUMENTS -->` and `<!-- end -->`), and knows what the page of a mechanism must say.
# Usage: scripts/update_docs.sh [--check | --page NAME]
#   --check      changes nothing; fails where a block is stale, and where a mechanism's page is missing or not written
#   --page NAME  makes docs/mechanisms/NAME.md with the facts filled in and the sections to write
# LRA_BINARY: the program (build/release/lra). LRA_DOCS_ROOT: where README.md and docs/ lie (the repository).
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
lra=$(realpath "${LRA_BINARY:-$repository/build/release/lra}")
cd "${LRA_DOCS_ROOT:-$repository}"
pages=docs/mechanisms

# The sections of a page, in their order, and what belongs in each.
sections=(
  'Definition|Equations as the program computes them, with the shape of every symbol.'
  'Paper and code|Where the paper and published programs differ from each other or from this one, and what was chosen.'
  'Masks|What a padding mask does, to rows and to gradients; the causal form, or why there is none.'
  'How it is computed|Operations or fused kernels, forward and backward; what is kept, what is made again.'
  'Limits that are tested|Exact cases, tolerances, and what is not tested.'
  'Sources|Papers and programs, with equation numbers and files.'
)

fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT

# Prints a document with its blocks as the program prints them. Markdown stands as it is, text in a fence.
refreshed() {
  local line skipping=false arguments output
  while IFS= read -r line; do
    if [[ $line =~ ^'<!-- lra '(.*)' -->'$ ]]; then
      read -ra arguments <<<"${BASH_REMATCH[1]}"
      output=$("$lra" "${arguments[@]}")
      if [[ " ${arguments[*]} " == *' --markdown '* ]]; then
        printf '%s\n%s\n' "$line" "$output"
      else
        printf '%s\n```\n%s\n```\n' "$line" "$output"
      fi
      skipping=true
    elif [ "$line" = '<!-- end -->' ]; then
      skipping=false
      printf '%s\n' "$line"
    elif ! $skipping; then
      printf '%s\n' "$line"
    fi
  done <"$1"
}

mechanisms() { "$lra" list attention --markdown | sed -n 's/^| \[\([^]]*\)\].*/\1/p'; }

facts_marker() { printf '<!-- lra list attention --name %s --markdown -->' "$1"; }

make_page() {
  local page=$pages/$1.md entry
  if [ -e "$page" ]; then
    echo "update_docs: $page exists; edit it, or remove it first" >&2
    exit 1
  fi
  "$lra" list attention --name "$1" >/dev/null
  {
    printf '# %s\n\n%s\n<!-- end -->\n' "$("$lra" list attention --name "$1" --markdown |
      sed -n 's/^| Full name | \(.*\) |$/\1/p')" "$(facts_marker "$1")"
    for entry in "${sections[@]}"; do printf '\n## %s\n\n<!-- %s -->\n' "${entry%%|*}" "${entry#*|}"; done
  } >"$fresh"
  refreshed "$fresh" >"$page"
  echo "update_docs: $page made; write its sections, then run scripts/update_docs.sh" >&2
}

# Says what is wrong with the page of a mechanism; comments are no text.
faults_of_page() {
  local page=$pages/$1.md entry
  if [ ! -e "$page" ]; then
    echo "$page: mechanism \`$1\` has no page; make one with: scripts/update_docs.sh --page $1"
    return
  fi
  grep -qxF -- "$(facts_marker "$1")" "$page" || echo "$page: lacks its facts, between \`$(facts_marker "$1")\` and \`<!-- end -->\`"
  for entry in "${sections[@]}"; do
    awk -v heading="## ${entry%%|*}" '
      /^## / { inside = $0 == heading }
      inside && !/^## / && !/^<!-- .* -->$/ && NF { written = 1 }
      END { exit !written }' "$page" || echo "$page: section \`## ${entry%%|*}\` is missing or empty: ${entry#*|}"
  done
}

faults_of_pages() {
  local known name page
  known=$(mechanisms)
  for name in $known; do faults_of_page "$name"; done
  for page in "$pages"/*.md; do
    name=$(basename "$page" .md)
    [ "$name" = README ] || grep -qx "$name" <<<"$known" || echo "$page: no mechanism \`$name\` is registered; remove the page or rename it"
  done
}

case "${1:-}" in
  --page)
    make_page "${2:?update_docs: --page needs the name of a mechanism (lra list attention)}"
    ;;
  --check)
    failed=0
    for document in README.md "$pages"/*.md; do
      refreshed "$document" >"$fresh"
      diff -u "$document" "$fresh" || {
        echo "$document is stale: run scripts/update_docs.sh" >&2
        failed=1
      }
    done
    faults=$(faults_of_pages)
    if [ -n "$faults" ]; then
      printf '%s\n' "$faults" >&2
      failed=1
    fi
    exit $failed
    ;;
  '')
    for document in README.md "$pages"/*.md; do
      refreshed "$document" >"$fresh"
      cmp -s "$document" "$fresh" || cp "$fresh" "$document"
    done
    ;;
  *)
    echo "update_docs: $1 is not an option; usage: scripts/update_docs.sh [--check | --page NAME]" >&2
    exit 2
    ;;
esac
