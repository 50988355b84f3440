#!/usr/bin/env bash
# Installs a build into a temporary prefix, moves that, and runs the program from there, man page and completions included.
# Usage: scripts/test_install.sh BUILD_DIRECTORY
set -euo pipefail

build=$1
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
DESTDIR=$place/staged cmake --install "$build" --prefix /opt/lra >/dev/null
mv "$place/staged/opt/lra" "$place/moved"
cd "$place"
export PATH=$place/moved/bin:$PATH XDG_CACHE_HOME=$place/cache
unset LRA_DATA

[ "$(command -v lra)" = "$place/moved/bin/lra" ]
lra --version
lra data generate listops --data data --train 40 --validation 8 --test 8 --set task.min_length=20 \
  --set task.max_length=100
lra train --task listops --attention cosformer --preset tiny --length 100 --data data --set train.steps=5 >/dev/null
lra list presets >/dev/null
share=$place/moved/share
gzip -dc "$share/man/man1/lra.1.gz" | cmp - <(lra man)
cmp "$share/bash-completion/completions/lra" <(lra completions bash)
cmp "$share/fish/vendor_completions.d/lra.fish" <(lra completions fish)
cmp "$(find "$share/zsh" -name _lra)" <(lra completions zsh)
[ -s "$share/lra/result.schema.json" ]
cd "$share/doc/lra"
for page in $(grep -o '](docs/[^)#]*' README.md | cut -c3-); do
  [ -e "$page" ] || { echo "test_install: README.md points at $page, which is not installed" >&2; exit 1; }
done
echo "test_install: ok"
