#!/usr/bin/env bash
# Searches for inputs that break a reader, starting from the kept ones. Usage: scripts/fuzz.sh SECONDS [READER…]
#
# New inputs stay in build/clang/fuzz/READER, what breaks a reader in build/clang/fuzz/findings: mend the reader, then
# keep the input in tests/fuzz/corpus/READER, where every build tests it.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?usage: scripts/fuzz.sh SECONDS [READER…]}
shift
readers=("$@")
if [ ${#readers[@]} -eq 0 ]; then
  for source in tests/fuzz/*_fuzz.cc; do readers+=("$(basename "$source" _fuzz.cc)"); done
fi
cmake --preset clang >/dev/null
cmake --build --preset clang --target "${readers[@]/#/lra_fuzz_}" >&2

# A reader of small files needs neither much memory nor one large block; more is a finding.
limits=(-rss_limit_mb=1024 -malloc_limit_mb=256 -timeout=10 -max_len=16384)
work=build/clang/fuzz
mkdir -p "$work/findings"
fuzz() {
  local reader=$1
  mkdir -p "$work/$reader"
  "build/clang/lra_fuzz_$reader" "${limits[@]}" -max_total_time="$seconds" -use_value_profile=1 -print_final_stats=1 \
    -artifact_prefix="$work/findings/$reader-" "$work/$reader" "tests/fuzz/corpus/$reader" >"$work/$reader.log" 2>&1 || {
    tail -40 "$work/$reader.log" >&2
    echo "fuzz: $reader: an input broke it; it is in $work/findings" >&2
    return 1
  }
  awk -v reader="$reader" '/number_of_executed_units/ { runs = $2 } /new_units_added/ { added = $2 }
    END { printf "%-12s %12d inputs, %d of them new to it\n", reader, runs, added }' "$work/$reader.log"
}
failed=0
for reader in "${readers[@]}"; do fuzz "$reader" || failed=1; done
exit "$failed"
