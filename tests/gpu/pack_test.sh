#!/usr/bin/env bash
# A pack is made and run, as far as a machine without a GPU can: with another backend, and small works.
set -u
here=$PWD/tests/gpu
pack="$TEST_TMPDIR/a pack" out=$TEST_TMPDIR/out
if readelf -d tests/gpu/check/gpu_check | grep -q 'san\.so'; then
  echo "skipped: programs with a sanitizer are larger than a pack"
  exit
fi
failures=0
fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}
"$here/make_pack.sh" "$PWD" '' "$pack" > "$TEST_TMPDIR/sizes" || fail "make_pack.sh: $(cat "$TEST_TMPDIR/sizes")"
grep -q 'MiB  gpu_check' "$TEST_TMPDIR/sizes" || fail "sizes: $(cat "$TEST_TMPDIR/sizes")"
[[ $(wc -l < "$pack/cpu.bits") == 60 ]] || fail "hashes: $(cat "$pack/cpu.bits")"

# From elsewhere, without what the build had.
cd / || exit 1
said=$("$pack/run_on_hardware.sh" --trial "$out" 2>&1) || fail "run_on_hardware.sh: $said"
table=$(cat "$out/table.md")
for line in '| bits | 9 qwen2 Q8_0, 4/2 heads of 16 | 0 differ |' '| speed-8B-Q4_K | decode, batch 2, temperature 1 |' \
  '| speed-0.5B | 410 rows to the host |' '| cluster | prefill cpu, decode deferred | 0 differ |'; do
  [[ $table == *"$line"* ]] || fail "no \"$line\" in $table"
done
[[ $table != *'did not end well'* ]] || fail "$table"

# What differs is told by the exit code and in the table.
sed -i 's/^1 f16 ./1 f16 x/' "$pack/cpu.bits"
"$pack/run_on_hardware.sh" --trial --only bits "$out" > /dev/null 2>&1 && fail "hashes that differ pass"
grep -q '^| bits | did not end well | 1 exit status |' "$out/table.md" || fail "$(cat "$out/table.md")"
"$pack/run_on_hardware.sh" --only nonsense > /dev/null 2>&1 && fail "an unknown part passes"
echo "$failures failures"
exit $((failures > 0))
