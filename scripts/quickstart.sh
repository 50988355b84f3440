#!/usr/bin/env bash
# From a bare Debian 12 to a trained cosFormer: installs, builds, generates ListOps, trains for a couple of minutes and
# prints the report. Usage: scripts/quickstart.sh [STEPS]   (default 300)
set -euo pipefail
cd "$(dirname "$0")/.."

steps=${1:-300}
data=${LRA_DATA:-data}

scripts/install_deps.sh
echo "quickstart: building" >&2
cmake --preset release -DLRA_DEVELOPER_MODE=OFF >/dev/null
cmake --build --preset release --target lra >&2

lra=build/release/lra
if ! "$lra" data info listops --data "$data" >/dev/null 2>&1; then
  "$lra" data generate listops --data "$data"
fi
exec "$lra" train --task listops --attention cosformer --preset small --data "$data" --out runs --force \
  --set train.steps="$steps" --set train.warmup_steps=$((steps / 5)) --set train.learning_rate=1e-3 \
  --set train.eval_every=$((steps > 100 ? 100 : steps))
