#!/bin/sh
# Links the kernels compiled for several instruction sets into one object file, in which every public function is a jump
# through a table. engine/isa.cc fills the table at start. cmake/kernel_sets.cmake explains.
#
# Usage: OUT=FILE LD=… NM=… OBJCOPY=… READELF=… CXX=… kernel_sets.sh --set NAME OBJECT… [--set NAME OBJECT…]…
# The first set is the one every processor runs; the table holds it until engine/isa.cc has chosen.
set -eu

work=$OUT.parts
rm -rf "$work"
mkdir -p "$work"

fail() {
  echo "kernel_sets: $*" >&2
  exit 1
}

# One relocatable object from all objects of a set: $work/NAME.o with each public function F renamed F.NAME and every
# other symbol local. Inline functions and templates stay inside: groups shared between objects are dissolved, so the
# linker never merges this set's copies with those of another set or of the rest of the program.
combine() {
  name=$1
  shift
  "$LD" -r --force-group-allocation -o "$work/$name.joined.o" "$@"
  "$NM" --defined-only --extern-only --format=posix "$work/$name.joined.o" >"$work/$name.symbols"
  awk '$2 == "T" { print $1 }' "$work/$name.symbols" | LC_ALL=C sort >"$work/$name.functions"
  data=$(awk '$2 ~ /^[ABCDGRS]$/ { print $1 }' "$work/$name.symbols" | c++filt)
  [ -z "$data" ] || fail "kernels may share functions with the rest of the program, not data:" "$data"
  # Their constructors would run on every processor, at start, before anything is chosen.
  if "$READELF" --wide --section-headers "$work/$name.joined.o" | grep -qE '\.(init_array|preinit_array|ctors)'; then
    fail "kernels may not have objects that are constructed at start (or include <iostream>)"
  fi
  sed "s/.*/& &.$name/" "$work/$name.functions" >"$work/$name.renamings"
  sed "s/.*/&.$name/" "$work/$name.functions" >"$work/$name.kept"
  "$OBJCOPY" --redefine-syms="$work/$name.renamings" "$work/$name.joined.o" "$work/$name.renamed.o"
  "$OBJCOPY" --keep-global-symbols="$work/$name.kept" "$work/$name.renamed.o" "$work/$name.o"
  cmp -s "$work/$name.functions" "$work/$first.functions" ||
    fail "the sets $first and $name do not have the same public functions:" \
      "$(diff "$work/$first.functions" "$work/$name.functions" | sed -n 's/^[<>] //p' | c++filt)"
  rm "$work/$name.joined.o" "$work/$name.renamed.o"
}

# For each public function a jump through its slot; a table of the functions of each set; and a reference to the
# function of engine/isa.cc that copies one of the tables into the slots, among those that run at start, first.
write_dispatch() {
  echo '.text'
  awk '{ printf ".globl \"%s\"\n.type \"%s\", @function\n\"%s\": jmp *lra_kernel_slots+%d(%%rip)\n.size \"%s\", . - \"%s\"\n",
         $1, $1, $1, 8 * (NR - 1), $1, $1 }' "$work/$first.functions"
  echo '.data'
  echo '.balign 8'
  echo '.globl lra_kernel_slots'
  echo 'lra_kernel_slots:'
  sed "s/.*/.quad \"&.$first\"/" "$work/$first.functions"
  echo '.section .data.rel.ro, "aw"'
  echo '.balign 8'
  for name in $names; do
    printf '.globl lra_kernels_%s\nlra_kernels_%s:\n' "$name" "$name"
    sed "s/.*/.quad \"&.$name\"/" "$work/$first.functions"
  done
  printf '.globl lra_kernel_count\nlra_kernel_count: .quad %d\n' "$(wc -l <"$work/$first.functions")"
  echo '.section .init_array.00101, "aw", @init_array'
  echo '.balign 8'
  echo '.quad lra_choose_kernels'
  echo '.section .note.GNU-stack, "", @progbits'
}

first=
names=
while [ $# -gt 0 ]; do
  [ "$1" = --set ] || fail "expected --set, got $1"
  name=$2
  shift 2
  first=${first:-$name}
  names="$names $name"
  list=$work/$name.objects
  while [ $# -gt 0 ] && [ "$1" != --set ]; do
    printf '"%s"\n' "$1" >>"$list"
    shift
  done
  combine "$name" "@$list"
done
write_dispatch >"$work/dispatch.s"
"$CXX" -c "$work/dispatch.s" -o "$work/dispatch.o"
# shellcheck disable=SC2046,SC2086 # lists of names without spaces
(cd "$work" && "$LD" -r -o "$OUT" dispatch.o $(for name in $names; do echo "$name.o"; done))
rm -rf "$work"
