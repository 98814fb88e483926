#!/usr/bin/env bash
# Runs fuzz targets under clang's libFuzzer, with AddressSanitizer and UndefinedBehaviorSanitizer:
#
#   tests/libfuzzer.sh [SECONDS [PATTERN...]]    # a minute for each; all of the workspace
#
# Each goes on from its seeds and from what earlier runs found, which is kept in ~/.cache/kedge/libfuzzer. A line says
# what came of it; the exit status is 1 if an input ended a target, and its path is printed. Without a clang that has
# libFuzzer (apt-get install clang-19 libclang-rt-19-dev) nothing is run, and the exit status is 0. CC=... chooses one.
#
# Bazel works in an output base of its own: what gcc has built stays, and bazel-bin stays gcc's. Tested by
# libfuzzer_test.sh.
set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}
patterns=("${@:2}")
if [[ ! $seconds =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: tests/libfuzzer.sh [SECONDS [PATTERN...]]" >&2
  exit 2
fi

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' > "$scratch/empty.cc"
clang=
for candidate in ${CC:-clang $(compgen -c clang- | grep -E '^clang-[0-9]+$' | sort -rVu)}; do
  if "$candidate" -fsanitize=fuzzer,address "$scratch/empty.cc" -o "$scratch/empty" 2> "$scratch/error"; then
    clang=$candidate
    break
  fi
done
if [[ -z $clang ]]; then
  echo "skipped: ${CC:-clang} is not there, or has no libFuzzer (apt-get install clang-19 libclang-rt-19-dev)"
  exit 0
fi

# Every test that is linked with the driver of fuzz targets.
query="attr(deps, '//common/testing:fuzz_driver', kind(cc_test, set(${patterns[*]:-//...})))"
listed=$(bazel query --noshow_progress "$query")
targets=($listed)  # a label has no spaces
if ((${#targets[@]} == 0)); then
  echo "no fuzz target among ${patterns[*]:-//...}" >&2
  exit 2
fi

base=$(bazel info output_base 2> /dev/null)-libfuzzer
options=(--config=libfuzzer --repo_env="CC=$clang" --symlink_prefix=/)
with_clang() { bazel --output_base="$base" --max_idle_secs=60 "$@"; }
with_clang build "${options[@]}" -- "${targets[@]}"
binaries=$(with_clang info "${options[@]}" bazel-bin 2> /dev/null)

# Names in stacks: clang's own symbolizer is another package, binutils are always there.
export ASAN_OPTIONS=${ASAN_OPTIONS:-external_symbolizer_path=$(command -v addr2line)}
export TEST_TMPDIR=$scratch  # where targets keep files, as Bazel says it to tests
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kedge/libfuzzer
failures=0
echo "$("$clang" --version | head -n 1); ${#targets[@]} targets, $seconds s each"
for target in "${targets[@]}"; do
  path=${target#//}
  path=${path/://}
  corpus=$cache/$path
  log=$corpus.log
  rm -rf "$scratch/seeds"
  mkdir -p "$corpus" "$scratch/seeds"
  "$binaries/$path" --seeds "$scratch/seeds"
  # Blocks of more than 64 MiB are refused, as fuzz_driver.cc does.
  status=0
  "$binaries/$path" -max_total_time="$seconds" -malloc_limit_mb=64 -timeout=25 -print_funcs=0 \
    -print_final_stats=1 -artifact_prefix="$corpus-" "$corpus" "$scratch/seeds" > "$log" 2>&1 || status=$?
  begin=$(sed -nE 's/.*INITED +cov: ([0-9]+).*/\1/p' "$log")
  end=$(sed -nE 's/^#[0-9]+\s.* cov: ([0-9]+).*/\1/p' "$log" | tail -n 1)
  runs=$(sed -nE 's/^stat::number_of_executed_units: +//p' "$log")
  echo "$target: ${runs:-no} inputs; covered at first ${begin:-0} edges, at the end ${end:-0}"
  if ((status != 0)); then
    failures=$((failures + 1))
    tail -n 60 "$log"
    input=$(sed -nE 's/.*Test unit written to //p' "$log")
    echo "FAILED: $target, exit status $status; the input: ${input:-none}; all of it: $log"
  fi
done
echo "$failures failures"
exit $((failures > 0))
