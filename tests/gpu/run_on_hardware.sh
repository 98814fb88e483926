#!/usr/bin/env bash
# Measures on a GPU what a CUDA backend would stand on (docs/gpu.md). Needs nvcc, g++ with C++20 and Python 3, nothing
# else of this project's packages; about four minutes. Each part has its own limit of time; one that fails is reported,
# and the others run all the same.
#
#   tests/gpu/run_on_hardware.sh [--only PART]... [--build-only | --host-only] [FOLDER]
#
# FOLDER (default: a new one under /tmp) gets results.jsonl, table.md and log. PART is one of the names below.
# --build-only needs no GPU; --host-only builds what needs no nvcc either.
set -uo pipefail
parts=(environment token-8B products between token-0.5B ceilings bits speed rows ipc nccl bits-fmad sanitizer)
only=() build_only='' host_only='' out=''
while (($#)); do
  case $1 in
    --only) only+=("${2:?--only needs a part}"); shift ;;
    --build-only) build_only=yes ;;
    --host-only) host_only=yes ;;
    -*) echo "unknown flag $1; there are --only PART, --build-only and --host-only" >&2; exit 2 ;;
    *) out=$1 ;;
  esac
  shift
done
for part in "${only[@]}"; do
  [[ " ${parts[*]} " == *" $part "* ]] && continue
  echo "no part '$part'; there are ${parts[*]}" >&2
  exit 2
done
wants() { ((${#only[@]} == 0)) || [[ " ${only[*]} " == *" $1 "* ]]; }
programs=()  # those that the parts need
for program in token:token-8B token:token-0.5B products:products between:between ceilings:ceilings bits:bits \
  bits:sanitizer speed:speed rows:rows ipc:ipc nccl:nccl bits-fmad:bits-fmad; do
  wants "${program#*:}" && [[ " ${programs[*]} " != *" ${program%:*} "* ]] && programs+=("${program%:*}")
done
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${out:-$(mktemp -d /tmp/kedge-gpu.XXXX)}
mkdir -p "$out" || exit 1
build=$(mktemp -d) || exit 1
trap 'rm -rf "$build"' EXIT
results=$out/results.jsonl log=$out/log
: >"$results"
: >"$log"

note() { # part, what, value, unit, note
  printf '{"part": "%s", "what": "%s", "value": %s, "unit": "%s", "note": "%s"}\n' \
    "$1" "$2" "$3" "$4" "$(tr -d '"\\\n\t' <<<"$5")" >>"$results"
}

# --- Build ---

# The headers of Abseil that the kernels' headers name, all by the few names in absl_names.h.
for header in types/span strings/string_view status/status status/statusor functional/function_ref time/time; do
  mkdir -p "$build/absl/$(dirname $header)"
  echo '#include "tests/gpu/absl_names.h"' >"$build/absl/$header.h"
done
exact=(-ffp-contract=off)  # as the project is built
grep -qw fma /proc/cpuinfo && exact+=(-mfma)  # the same bits, faster
host=(g++ -std=c++20 -O2 "${exact[@]}" -I"$root" -I"$build")

start=$SECONDS
declare -A building
compile() { # name, command...
  "${@:2}" >"$build/$1.log" 2>&1 &
  building[$1]=$!
}
failed=0
wait_for_builds() {
  local name
  for name in "${!building[@]}"; do
    if ! wait "${building[$name]}"; then
      failed=1
      { echo "$name does not build:" && cat "$build/$name.log"; } >&2
    fi
    { echo "== $name" && cat "$build/$name.log"; } >>"$log"
  done
  building=()
}
for source in tests/gpu/host_reference common/kernels/elementary \
  common/kernels/cpu/scalar_{attention,elementwise,matmul}; do
  compile "$(basename $source)" "${host[@]}" -c "$root/$source.cc" -o "$build/$(basename $source).o"
done
if [[ -n $host_only ]]; then
  wait_for_builds
  exit $failed
fi

cuda=${CUDA_HOME:-/usr/local/cuda}
[[ -x $cuda/bin/nvcc ]] || cuda=$(dirname "$(dirname "$(command -v nvcc || echo /none/bin/nvcc)")")
export NVCC=$cuda/bin/nvcc
if [[ ! -x $NVCC ]]; then
  echo "no nvcc: set CUDA_HOME, or put it on the path" >&2
  exit 1
fi
export PATH=$PATH:$cuda/bin:$cuda/compute-sanitizer
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>>"$log" | head -1 | tr -d .)
[[ $capability =~ ^[0-9]+$ ]] || capability=90
[[ $capability == 90 ]] && capability=90a
device=("$NVCC" -std=c++20 -O3 --expt-relaxed-constexpr -gencode "arch=compute_$capability,code=sm_$capability"
  -I"$root" -I"$build" -lineinfo -Xptxas -v "${exact[@]/#/-Xcompiler=}")
link=(-L"$cuda/lib" -cudart static -lpthread -ldl)
for program in "${programs[@]}"; do
  case $program in
    token) compile token "${device[@]}" -fmad=false -c "$root/tests/gpu/decode_token.cu" -o "$build/token.cu.o" ;;
    bits-fmad) compile bits-fmad "${device[@]}" -fmad=true -c "$root/tests/gpu/bits.cu" -o "$build/bits-fmad.cu.o" ;;
    *) compile "$program" "${device[@]}" -fmad=false -c "$root/tests/gpu/$program.cu" -o "$build/$program.cu.o" ;;
  esac
done
wait_for_builds
reference=("$build"/{host_reference,elementary,scalar_attention,scalar_elementwise,scalar_matmul}.o)
for program in "${programs[@]}"; do
  case $program in
    ceilings | rows | ipc | nccl) objects=() ;;
    *) objects=("${reference[@]}") ;;
  esac
  compile "$program" "$NVCC" "$build/$program.cu.o" "${objects[@]}" "${link[@]}" -o "$build/$program"
done
wait_for_builds
note environment "time to build" $((SECONDS - start)) s "sm_$capability"
if [[ -n $build_only ]]; then
  ((failed)) || echo "all programs build for sm_$capability"
  exit $failed
fi

# --- Run ---

run() { # part, seconds, command...: lines of JSON are results, the rest goes to the log
  local part=$1 limit=$2 status
  echo "== $part: ${*:3}" | tee -a "$log"
  timeout -k 5 "$limit" "${@:3}" >"$build/stdout" 2>"$build/stderr"
  status=$?
  grep '^{' "$build/stdout" >>"$results"
  { grep -v '^{' "$build/stdout" && true; cat "$build/stderr"; } >>"$log"
  ((status == 0)) && return
  local why
  why=$(grep -v '^$' "$build/stderr" | tail -1)
  ((status == 124 || status == 137)) && why="not done within $limit s; $why"
  note "$part" "did not end well" $status "exit status" "$why"
}

started=$SECONDS
wants environment && run environment 60 python3 "$root/tests/gpu/environment.py"
wants token-8B && run token-8B 75 "$build/token" 8B
wants products && run products 60 "$build/products"
wants between && run between 45 "$build/between"
wants token-0.5B && run token-0.5B 45 "$build/token" 0.5B
for part in ceilings:60 bits:90 speed:60 rows:40 ipc:30; do
  wants "${part%:*}" && run "${part%:*}" "${part#*:}" "$build/${part%:*}"
done
if wants nccl; then
  nccl=$(python3 "$root/tests/gpu/environment.py" --nccl 2>>"$log")
  if [[ -n $nccl ]]; then
    run nccl 45 "$build/nccl" "$nccl"
  else
    note nccl "two ranks on one device" null "" "no libnccl.so.2 found"
  fi
fi
wants bits-fmad && run bits-fmad 90 "$build/bits-fmad" bits-fmad
if wants sanitizer; then
  if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
      run "$tool" 60 compute-sanitizer --tool $tool --error-exitcode 9 "$build/bits" $tool small
      note $tool "compute-sanitizer says" null "" "$(grep -a SUMMARY "$build/stdout" | tail -1)"
    done
  else
    note sanitizer "compute-sanitizer" null "" "not found"
  fi
fi
note environment "time to run" $((SECONDS - started)) s ""
python3 "$root/tests/gpu/table.py" "$results" | tee "$out/table.md"
((!failed)) && ! grep -q 'did not end well' "$results"
