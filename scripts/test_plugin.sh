#!/usr/bin/env bash
# Installs a build into a temporary prefix and, with nothing but that, does what docs/adding-a-mechanism.md says: the files
# that it quotes are those of tests/consumer/, and its commands run as they stand there.
# Usage: scripts/test_plugin.sh BUILD_DIRECTORY
set -euo pipefail

build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
document=$PWD/docs/adding-a-mechanism.md
consumer=$PWD/tests/consumer
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
DESTDIR=$place/staged cmake --install "$build" --prefix /opt/lra >/dev/null
mv "$place/staged/opt/lra" "$place/moved"
cp -r "$consumer" "$place/mine"
cd "$place/mine"
export PATH=$place/moved/bin:$PATH CMAKE_PREFIX_PATH=$place/moved XDG_CACHE_HOME=$place/cache
unset LRA_DATA

# Prints the fenced blocks of one language.
blocks() { awk -v fence="^\`\`\`$1\$" '$0 ~ fence { inside = 1; next } /^```/ { inside = 0 } inside' "$document"; }
fail() {
  echo "test_plugin: $*" >&2
  exit 1
}

diff <(blocks cpp) efficient.cc || fail "the document quotes another efficient.cc"
diff <(blocks cmake) CMakeLists.txt || fail "the document quotes another CMakeLists.txt"

# Every installed header compiles by itself.
(cd "$place/moved/include/lra" && find . -name '*.h') | while read -r header; do
  echo "#include \"${header#./}\"" | c++ -std=c++20 -fsyntax-only -I "$place/moved/include/lra" -x c++ - ||
    fail "$header does not compile by itself"
done

blocks sh >commands.sh
[ "$(grep -c '^lra ' commands.sh)" -ge 6 ] || fail "the document has lost its commands"
bash -euxo pipefail commands.sh >output.txt || fail "a command of the document failed"
cat output.txt
grep -q "^efficient .*Shen et al. 2021" output.txt || fail "lra list does not show the mechanism"
grep -q " 0 failed" output.txt || fail "lra selftest does not pass"
grep -q '"file": "libefficient.so"' runs/listops/efficient/n100/*/seed0/result.json || fail "the record has no plug-in"
echo "test_plugin: ok"
