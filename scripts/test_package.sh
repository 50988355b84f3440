#!/usr/bin/env bash
# Installs a package in a clean Debian 12 and runs it there as an ordinary user: version, selftest, a tiny training,
# completions and the manual. Needs root, debootstrap and a mirror; a minute or two.
# Usage: scripts/test_package.sh [PACKAGE.deb]   (default: what scripts/package.sh builds)
# Environment: MIRROR (default: http://deb.debian.org/debian), LRA_TEST_ROOT (a directory for the root, kept afterwards)
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
  echo "test_package: debootstrap and chroot need root; try: sudo $0" >&2
  exit 1
fi
package=${1:-$(scripts/package.sh)}
if [ -n "${LRA_TEST_ROOT:-}" ]; then
  root=$LRA_TEST_ROOT
else
  root=$(mktemp -d)
  chmod 755 "$root" # others than root work in it
  trap 'rm -rf --one-file-system "$root"' EXIT
fi
if [ ! -x "$root/usr/bin/apt-get" ]; then
  debootstrap --variant=minbase bookworm "$root" "${MIRROR:-http://deb.debian.org/debian}" >&2
fi
cp "$package" "$root/tmp/lra.deb"
cp /etc/resolv.conf "$root/etc/resolv.conf" # for the mirror's name

in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }
in_root apt-get update -qq
in_root apt-get install -y -qq --no-install-recommends /tmp/lra.deb >&2
in_root useradd --create-home tester 2>/dev/null || true
# shellcheck disable=SC2016 # expanded by the shell in there
in_root su tester -s /bin/bash -c '
  set -euo pipefail
  cd "$(mktemp -d)"
  lra --version
  time lra selftest
  lra data generate listops --data data --train 500 --validation 50 --test 50 --set task.min_length=20 --set task.max_length=100
  time lra train --task listops --attention cosformer --preset tiny --length 100 --data data --set train.steps=50
  bash -c "source /usr/share/bash-completion/completions/lra; complete -p lra"
  zcat /usr/share/man/man1/lra.1.gz | head -n 3
'
in_root dpkg --status lra | grep -E "^(Version|Depends|Installed-Size)"
in_root apt-get remove -y -qq lra >&2
if [ -e "$root/usr/bin/lra" ]; then
  echo "test_package: removing the package left the program behind" >&2
  exit 1
fi
echo "test_package: ok"
