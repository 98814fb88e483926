#!/usr/bin/env bash
# Proves and measures Kedge on a machine with a GPU (docs/gpu.md), in at most six minutes. From the folder that
# `./kedge cuda pack` made it needs neither a compiler nor Bazel; from the sources it builds the probe alone, with nvcc,
# g++ with C++20 and Python 3. Each part has its own limit of time; one that fails is reported, and the others run all
# the same.
#
#   run_on_hardware.sh [--only PART]... [--backend NAME] [--trial] [FOLDER]
#   run_on_hardware.sh --build-only | --host-only [FOLDER]
#
# FOLDER (default: a new one under /tmp) gets results.jsonl, table.md and log. PART is one of the names below.
# --trial: a few seconds of each part that a machine without a GPU can try. --build-only needs no GPU, and FOLDER gets
# the probe's programs; --host-only builds what needs no nvcc either.
set -uo pipefail
checks=(bits speed-0.5B speed-8B speed-8B-Q4_K cluster memcheck)  # by what a pack holds
probes=(ceilings rows kernel-bits kernel-speed ipc nccl bits-fmad sanitizer)
parts=(environment ceilings "${checks[@]}" torch "${probes[@]:1}")
limit_of_all=350  # seconds
only=() build_only='' host_only='' trial='' backend=cuda out=''
while (($#)); do
  case $1 in
    --only) only+=("${2:?--only needs a part}"); shift ;;
    --backend) backend=${2:?--backend needs a name}; shift ;;
    --trial) trial=yes backend=deferred ;;
    --build-only) build_only=yes ;;
    --host-only) host_only=yes ;;
    -*) echo "unknown flag $1; there are --only PART, --backend NAME, --trial, --build-only and --host-only" >&2; exit 2 ;;
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
here=$(cd "$(dirname "$0")" && pwd)
cuda=${CUDA_HOME:-/usr/local/cuda}
PATH=$PATH:$cuda/bin:$cuda/compute-sanitizer
out=${out:-$(mktemp -d /tmp/kedge-gpu.XXXX)}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
results=$out/results.jsonl log=$out/log
: >"$log"

note() { # part, what, value, unit, note
  printf '{"part": "%s", "what": "%s", "value": %s, "unit": "%s", "note": "%s"}\n' \
    "$1" "$2" "$3" "$4" "$(tr -d '"\\\n\t' <<<"$5")" >>"$results"
}

capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>>"$log" | head -1 | tr -d .)
[[ $capability =~ ^[0-9]+$ ]] || capability=90
[[ $capability == 90 ]] && capability=90a

# --- The probe, from the sources ---

declare -A building
compile() { # name, command...
  "${@:2}" >"$work/$1.log" 2>&1 &
  building[$1]=$!
}
failed=0
wait_for_builds() {
  local name
  for name in "${!building[@]}"; do
    if ! wait "${building[$name]}"; then
      failed=1
      { echo "$name does not build:" && cat "$work/$name.log"; } >&2
    fi
    { echo "== $name" && cat "$work/$name.log"; } >>"$log"
  done
  building=()
}

build_probe() { # where the programs go
  local to=$1 root programs=() program header source exact host device link objects reference
  root=$(cd "$here/../.." && pwd)
  for program in ceilings:ceilings rows:rows bits:kernel-bits bits:sanitizer speed:kernel-speed ipc:ipc nccl:nccl \
    bits-fmad:bits-fmad; do
    wants "${program#*:}" && [[ " ${programs[*]} " != *" ${program%:*} "* ]] && programs+=("${program%:*}")
  done
  ((${#programs[@]})) || return 0
  # The headers of Abseil that the kernels' headers name, all by the few names in absl_names.h.
  for header in base/thread_annotations functional/function_ref status/{status,statusor} strings/string_view \
    synchronization/mutex time/time types/span; do
    mkdir -p "$work/absl/$(dirname $header)"
    echo '#include "tests/gpu/absl_names.h"' >"$work/absl/$header.h"
  done
  exact=(-ffp-contract=off)  # as the project is built
  grep -qw fma /proc/cpuinfo && exact+=(-mfma)  # the same bits, faster
  host=(g++ -std=c++20 -O2 "${exact[@]}" -I"$root" -I"$work")
  for source in tests/gpu/host_reference common/kernels/elementary \
    common/kernels/cpu/scalar_{attention,elementwise,matmul}; do
    compile "$(basename $source)" "${host[@]}" -c "$root/$source.cc" -o "$work/$(basename $source).o"
  done
  if [[ -n $host_only ]]; then
    wait_for_builds
    return $failed
  fi
  [[ -x $cuda/bin/nvcc ]] || cuda=$(dirname "$(dirname "$(command -v nvcc || echo /none/bin/nvcc)")")
  export NVCC=$cuda/bin/nvcc
  if [[ ! -x $NVCC ]]; then
    wait_for_builds
    echo "no nvcc: set CUDA_HOME, or put it on the path" >&2
    return 1
  fi
  device=("$NVCC" -std=c++20 -O3 --expt-relaxed-constexpr -gencode "arch=compute_$capability,code=sm_$capability"
    -I"$root" -I"$work" -lineinfo -Xptxas -v "${exact[@]/#/-Xcompiler=}")
  link=(-L"$cuda/lib" -cudart static -lpthread -ldl)
  for program in "${programs[@]}"; do
    case $program in
      bits-fmad) compile $program "${device[@]}" -fmad=true -c "$root/tests/gpu/bits.cu" -o "$work/$program.cu.o" ;;
      *) compile "$program" "${device[@]}" -fmad=false -c "$root/tests/gpu/$program.cu" -o "$work/$program.cu.o" ;;
    esac
  done
  wait_for_builds
  reference=("$work"/{host_reference,elementary,scalar_attention,scalar_elementwise,scalar_matmul}.o)
  mkdir -p "$to"
  for program in "${programs[@]}"; do
    case $program in
      ceilings | rows | ipc | nccl) objects=() ;;
      *) objects=("${reference[@]}") ;;
    esac
    compile "$program" "$NVCC" "$work/$program.cu.o" "${objects[@]}" "${link[@]}" -o "$to/$program"
  done
  wait_for_builds
  echo "$capability" >"$to/built_for"
  return $failed
}

if [[ -n $build_only || -n $host_only ]]; then
  build_probe "$out" || exit 1
  [[ -z $build_only ]] || echo "all programs build for sm_$capability"
  exit
fi
: >"$results"
start=$SECONDS
probe=$here/probe  # of a pack
if [[ ! -x $here/gpu_check ]]; then
  probe=$work/probe
  build_probe "$probe"
  note environment "time to build" $((SECONDS - start)) s "sm_$capability"
fi

# --- Run ---

run() { # part, seconds, command...: lines of JSON are results, the rest goes to the log
  local part=$1 limit=$2 status left=$((limit_of_all - SECONDS + start))
  if ((left < 5)); then
    note "$part" "did not end well" null "" "no time is left of $limit_of_all s"
    return
  fi
  ((limit < left)) || limit=$left
  echo "== $part: ${*:3}" | tee -a "$log"
  timeout -k 5 "$limit" "${@:3}" >"$work/stdout" 2>"$work/stderr"
  status=$?
  grep '^{' "$work/stdout" >>"$results"
  { grep -v '^{' "$work/stdout" && true; cat "$work/stderr"; } >>"$log"
  ((status == 0)) && return
  local why
  why=$(grep -v '^$' "$work/stderr" | tail -1)
  ((status == 124 || status == 137)) && why="not done within $limit s; $why"
  note "$part" "did not end well" $status "exit status" "$why"
}

run_check() { # by what a pack holds
  local programs model
  if [[ ! -x $here/gpu_check ]]; then
    note "$1" "not run" null "" "./kedge cuda pack makes a folder with what this needs"
    return
  fi
  local few=(--backend "$backend")
  case $1 in
    bits)
      [[ -z $trial ]] || few+=(--models 1,9)
      run bits 75 "$here/gpu_check" bits --expect "$here/cpu.bits" "${few[@]}"
      ;;
    speed-*)
      [[ -z $trial ]] || few+=(--layers 1 --batches 1,2 --steps 2 --prompt 64)
      case $1 in
        speed-8B-Q4_K) run "$1" 60 "$here/gpu_check" speed --shape 8B --type Q4_K "${few[@]}" ;;
        *) run "$1" 75 "$here/gpu_check" speed --shape "${1#speed-}" --type Q8_0 "${few[@]}" ;;
      esac
      ;;
    memcheck)
      if ! command -v compute-sanitizer >/dev/null; then
        note memcheck "compute-sanitizer" null "" "not found"
        return
      fi
      run memcheck 75 compute-sanitizer --tool memcheck --error-exitcode 9 "$here/gpu_check" bits --models 5 \
        --kv-types f16 "${few[@]}"
      note memcheck "compute-sanitizer says" null "" "$(grep -a SUMMARY "$work/stdout" | tail -1)"
      ;;
    cluster)
      python3 -m tarfile -e "$here/processes.tar.xz" "$work" || return
      run cluster 60 env LD_LIBRARY_PATH="$work/lib" XDG_CACHE_HOME="$work/cache" \
        python3 "$here/cluster.py" "$work/bin" "$work/tiny.gguf" "$backend"
      ;;
  esac
}

run_probe() {
  if [[ -n $trial ]]; then return; fi
  if [[ ! -e $probe/built_for || $(<"$probe/built_for") != "$capability" ]]; then
    note "$1" "not run" null "" "the probe is built for sm_$(cat "$probe/built_for" 2>/dev/null), this is sm_$capability"
    return
  fi
  case $1 in
    ceilings) run ceilings 45 "$probe/ceilings" ;;
    rows) run rows 40 "$probe/rows" ;;
    kernel-bits) run kernel-bits 60 "$probe/bits" kernel-bits ;;
    kernel-speed) run kernel-speed 45 "$probe/speed" ;;
    ipc) run ipc 30 "$probe/ipc" ;;
    nccl)
      local nccl
      nccl=$(python3 "$here/environment.py" --nccl 2>>"$log")
      if [[ -n $nccl ]]; then
        run nccl 45 "$probe/nccl" "$nccl"
      else
        note nccl "two ranks on one device" null "" "no libnccl.so.2 found"
      fi
      ;;
    bits-fmad) run bits-fmad 60 "$probe/bits-fmad" bits-fmad ;;
    sanitizer)
      if ! command -v compute-sanitizer >/dev/null; then
        note sanitizer "compute-sanitizer" null "" "not found"
        return
      fi
      local tool
      for tool in memcheck racecheck; do
        run "kernel-$tool" 60 compute-sanitizer --tool $tool --error-exitcode 9 "$probe/bits" kernel-$tool small
        note "kernel-$tool" "compute-sanitizer says" null "" "$(grep -a SUMMARY "$work/stdout" | tail -1)"
      done
      ;;
  esac
}

for part in "${parts[@]}"; do
  wants "$part" || continue
  case $part in
    environment) run environment 30 python3 "$here/environment.py" ;;
    torch) for shape in 0.5B 8B; do run "torch-$shape" 40 python3 "$here/torch_peer.py" $shape; done ;;
    *) if [[ " ${checks[*]} " == *" $part "* ]]; then run_check "$part"; else run_probe "$part"; fi ;;
  esac
done
note environment "time to run" $((SECONDS - start)) s ""
python3 "$here/table.py" "$results" | tee "$out/table.md"
((!failed)) && ! grep -q 'did not end well' "$results"
