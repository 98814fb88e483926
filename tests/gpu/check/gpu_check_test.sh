#!/usr/bin/env bash
# gpu_check with the backends that every machine has: what it writes it expects again, what differs it says and where,
# and its figures are complete.
set -u
program=$(realpath tests/gpu/check/gpu_check)
cd "$TEST_TMPDIR" || exit 1
failures=0
fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}
# expect CODE ARGUMENTS...: runs it; sets `output`.
expect() {
  output=$("$program" "${@:2}" 2>&1)
  local code=$?
  ((code == $1)) || fail "${*:2}: exit code $code, not $1: $output"
}
check() { [[ $output == *"$1"* ]] || fail "no \"$1\" in: $output"; }

expect 0 bits --write hashes --models 1,9 --beside-cpu
check '"what": "9 qwen2 Q8_0, 4/2 heads of 16", "value": 0, "unit": "differ", "note": "of 80 comparisons"'
[[ $(wc -l < hashes) == 10 ]] || fail "ten lines of hashes: $(cat hashes)"
expect 0 bits --expect hashes --models 1,9 --backend deferred
expect 0 bits --expect hashes --models 9 --kv-types bf16
check 'of 13 comparisons'

# A damaged file, one that lacks a model, and arithmetic of another class.
sed 's/^9 f32 ./9 f32 x/; /^1 /d' hashes > damaged
expect 1 bits --expect damaged --models 9
check '"value": 1, "unit": "differ", "note": "of 65 comparisons; first 9 f32, the file'"'"'s hashes: another hash"'
expect 1 bits --expect damaged --models 1 --kv-types f16
check 'first 1 f16, the file'"'"'s hashes: none is there'
expect 1 bits --backend reference --beside-cpu --models 5 --kv-types f16
check '"value": 4, "unit": "differ", "note": "of 16 comparisons; first 5 f16, beside cpu, policy 1: row 0,'
expect 2 bits --expect nowhere
check 'cannot read nowhere'

for backend in cpu deferred; do
  expect 0 speed --backend $backend --shape 0.5B --layers 1 --batches 1,3 --steps 6 --prompt 300
  [[ $(grep -c '^{"part": "speed-0.5B", .*}$' <<< "$output") == 12 ]] || fail "twelve figures: $output"
  for what in 'decode, batch 3, greedy' 'decode, batch 1, temperature 1, read' 'prompt of 300, salient' \
    '410 rows to the host'; do
    check "\"what\": \"$what\""
  done
done
expect 0 speed --shape 0.5B --layers 1 --batches 1 --steps 1 --prompt 40 --type Q4_K
check 'Q4_K, 1 layers, 0.1'
expect 2 speed --shape 0.5B --layers 1 --batches 400 --steps 1
check '--batches: 400 is more than the 256 rows of a step'
echo "$failures failures"
exit $((failures > 0))
