#!/usr/bin/env bash
# Puts together what run_on_hardware.sh needs on a machine where nothing of Kedge is: `./kedge cuda pack` builds first.
#
#   make_pack.sh PROGRAMS PROBE FOLDER
#
# PROGRAMS: where Bazel's outputs lie by their packages; PROBE: the probe's programs, or '' for none. FOLDER is made
# anew. Tested by pack_test.sh.
set -euo pipefail
most_mib=44
programs=$1 probe=$2 folder=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rm -rf -- "$folder"
mkdir -p -- "$folder"
cp -- "$here"/{run_on_hardware.sh,environment.py,table.py,torch_peer.py,cluster.py} "$folder/"
strip -o "$folder/gpu_check" -- "$programs/tests/gpu/check/gpu_check"
"$folder/gpu_check" bits --backend cpu --write "$folder/cpu.bits" > "$work/bits"
if [[ -n $probe ]]; then
  mkdir -- "$folder/probe"
  cp -- "$probe/built_for" "$folder/probe/"
  for program in ceilings rows bits speed ipc nccl bits-fmad; do
    strip -o "$folder/probe/$program" -- "$probe/$program"
  done
fi

# The processes of a cluster, and their libraries but the C library's: those must be of one kind with the loader.
mkdir -- "$work/bin" "$work/lib"
for program in cli/kedge router/kedge-router prefill/kedge-prefill decode/kedge-decode; do
  strip -o "$work/bin/${program##*/}" -- "$programs/$program"
done
ldd -- "$work"/bin/* | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort -u | while read -r library; do
  case ${library##*/} in
    lib{c,m,dl,rt,pthread,resolv}.so.*) ;;
    *) cp -L -- "$library" "$work/lib/" ;;
  esac
done
"$programs/tests/make_tiny_model" "$work/tiny.gguf" tiny 1
tar -C "$work" -cJf "$folder/processes.tar.xz" bin lib tiny.gguf

size() { du -sb --apparent-size -- "$1" | cut -f 1; }
mib() { awk -v bytes="$1" 'BEGIN { printf "%.1f MiB", bytes / 1048576 }'; }
for path in "$folder"/*; do printf '%12s  %s\n' "$(mib "$(size "$path")")" "${path##*/}"; done
all=$(size "$folder")
printf '%12s  %s\n' "$(mib "$all")" "$folder"
if ((all > most_mib << 20)); then
  echo "the pack is larger than $most_mib MiB" >&2
  exit 1
fi
