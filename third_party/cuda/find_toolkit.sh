#!/usr/bin/env bash
# Prints where the CUDA toolkit is that Kedge is built with: CUDA_HOME, /usr/local/cuda, or what `./kedge cuda` fetched.
# If there is none, says so in one line on stderr. `--folder` prints where `./kedge cuda` puts what it fetches.
#
# The one place that knows: the launcher and Bazel (toolkit.bzl) ask it. Tested by tools/launcher/launcher_test.sh.
set -euo pipefail

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
oldest=12.8  # that compiles C++20 with the g++ of Debian 12 and of Ubuntu 24.04, and code that is small

version_of() { sed -n "s/^$1==\([0-9.]*\) .*/\1/p" "$here/wheels.txt"; }
# As the launcher and common/base/cache_dir.cc: a relative path counts as unset.
cache=${XDG_CACHE_HOME:-}
if [[ $cache != /* ]]; then cache=${HOME:-}/.cache; fi
folder=$cache/kedge/cuda/$(version_of nvidia-cuda-nvcc)-nccl-$(version_of nvidia-nccl-cu13)
if [[ ${1:-} == --folder ]]; then
  printf '%s\n' "$folder"
  exit
fi

# Sets `wrong` if this is no toolkit that can be used.
check() {
  local version
  if [[ ! -x $1/bin/nvcc ]]; then
    wrong="there is no $1/bin/nvcc"
  elif [[ ! -e $1/include/cuda_runtime.h || ! -e $1/lib64/libcudart_static.a && ! -e $1/lib/libcudart_static.a ]]; then
    wrong="$1 has no cuda_runtime.h or no libcudart_static.a"
  else
    version=$("$1/bin/nvcc" --version 2>&1 | sed -n 's/.*release \([0-9.]*\).*/\1/p') || true
    if [[ $(printf '%s\n' "$oldest" "$version" | sort --version-sort | head -n 1) == "$oldest" ]]; then return; fi
    wrong="$1/bin/nvcc is of CUDA ${version:-(it does not say which)}, and Kedge needs $oldest or later"
  fi
  return 1
}

if [[ -n ${CUDA_HOME:-} ]]; then
  if ! check "$CUDA_HOME"; then
    printf 'CUDA_HOME: %s: set it to an installed CUDA toolkit, or unset it\n' "$wrong" >&2
    exit 1
  fi
  readlink -f -- "$CUDA_HOME"
  exit
fi
reasons=
for place in /usr/local/cuda "$folder"; do
  if check "$place"; then
    readlink -f -- "$place"
    exit
  fi
  reasons+="${reasons:+; }$wrong"
done
printf 'there is no CUDA toolkit (%s): fetch one with `./kedge cuda`, or set CUDA_HOME to an installed one\n' \
  "$reasons" >&2
exit 1
