#!/usr/bin/env bash
# From a bare Debian 12 to a trained cosFormer in minutes: installs, builds, generates a ListOps set of short expressions
# (50 < L < 200, so that two minutes are enough to learn something), trains on it and prints the report.
# Usage: scripts/quickstart.sh [STEPS]   (default 3500; data and runs go to ./data/quickstart and ./runs/quickstart)
set -euo pipefail
cd "$(dirname "$0")/.."

steps=${1:-3500}
data=data/quickstart

scripts/install_deps.sh
echo "quickstart: building" >&2
cmake --preset release >/dev/null
cmake --build --preset release --target lra >&2

lra=build/release/lra
if ! "$lra" data verify listops --data "$data" >/dev/null 2>&1; then
  "$lra" data generate listops --data "$data" --train 50000 --validation 1000 --test 2000 --force \
    --set task.min_length=50 --set task.max_length=200
fi
"$lra" train --task listops --attention cosformer --preset small --data "$data" --out runs/quickstart --force \
  --length 200 --set train.steps="$steps" --set train.warmup_steps=$((steps / 10)) --set train.learning_rate=1e-3 \
  --set train.eval_every=$((steps < 500 ? steps : 500))
cat >&2 <<'NEXT'

The benchmark itself (96,000 expressions of 501 to 1,999 tokens, 7.5 minutes for the recorded run on two cores):
  build/release/lra data generate listops --data data
  build/release/lra train --task listops --attention cosformer --preset small --data data
NEXT
