#!/usr/bin/env bash
# Installs what the project builds with, from Debian 12's own packages. Does nothing when all is there.
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache git ca-certificates
  libdnnl-dev ocl-icd-opencl-dev # oneDNN; its CMake config asks for OpenCL
  libeigen3-dev nlohmann-json3-dev libcli11-dev libfmt-dev librandom123-dev libssl-dev
  libarchive-dev zlib1g-dev libjpeg-dev libpng-dev # archives and images of data sets
  libcurl4-openssl-dev # lra data fetch
  libgtest-dev libgmock-dev libbenchmark-dev libvalijson-dev # tests and benchmarks
  clang-format # the formatting check
  clang-tidy-14 # scripts/check_tidy.sh
  python3 # the crash campaign
  clang-14 libclang-rt-14-dev libomp-14-dev # the preset `clang`: sanitizers and fuzzers
)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "install_deps: everything is installed" >&2
  exit 0
fi

run_as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "install_deps: not root and no sudo; as root: apt-get install ${missing[*]}" >&2
    exit 1
  }
  run_as_root=(sudo)
fi
echo "install_deps: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
"${run_as_root[@]}" apt-get update -qq
"${run_as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
