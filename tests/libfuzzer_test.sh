#!/usr/bin/env bash
# tests/libfuzzer.sh with a Bazel and a clang made of shell: what is run, what is told, and which exit status.
set -u
tmp=$TEST_TMPDIR
mkdir -p "$tmp/fakes" "$tmp/bin/a"
export PATH=$tmp/fakes:$PATH XDG_CACHE_HOME=$tmp/cache CC=fake-clang
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}
# run STATUS ARGUMENT...: the exit status. check TEXT: the last output has the text.
run() {
  output=$(tests/libfuzzer.sh "${@:2}" 2>&1)
  local status=$?
  ((status == $1)) || fail "libfuzzer.sh ${*:2}: exit status $status, not $1: $output"
}
check() { [[ $output == *"$1"* ]] || fail "no \"$1\" in: $output"; }

cat > "$tmp/fakes/bazel" << FAKE
#!/usr/bin/env bash
echo "\$*" >> '$tmp/bazel.log'
case "\$*" in
  query*nothing*) ;;
  query*) printf '//a:good_fuzz_test\n//a:bad_fuzz_test\n' ;;
  *output_base) echo '$tmp/base' ;;
  *bazel-bin) echo '$tmp/bin' ;;
esac
FAKE
printf '#!/bin/sh\necho "fake clang"\n' > "$tmp/fakes/fake-clang"

# Programs that speak as libFuzzer does.
cat > "$tmp/bin/a/good_fuzz_test" << 'FAKE'
#!/usr/bin/env bash
if [[ $1 == --seeds ]]; then
  echo seed > "$2/seed-0"
  exit
fi
echo "$*" > "$TEST_TMPDIR/../arguments"
[[ -s ${*: -1}/seed-0 && -d ${*: -2:1} ]] || exit 3
printf '#5\tINITED cov: 330 ft: 513 corp: 4/1041b\n#17\tNEW    cov: 400 ft: 600\n#99\tDONE   cov: 491 ft: 1277\n'
echo 'stat::number_of_executed_units: 99'
FAKE
cat > "$tmp/bin/a/bad_fuzz_test" << 'FAKE'
#!/usr/bin/env bash
[[ $1 == --seeds ]] && exit
echo 'check.cc:1: internal error'
echo "artifact_prefix='./'; Test unit written to /some/where-crash-1234"
exit 77
FAKE
chmod +x "$tmp/fakes/"* "$tmp/bin/a/"*

TMPDIR=$tmp run 1 7
check 'fake clang; 2 targets, 7 s each'
check '//a:good_fuzz_test: 99 inputs; covered at first 330 edges, at the end 491'
check '//a:bad_fuzz_test: no inputs'
check 'internal error'
check 'FAILED: //a:bad_fuzz_test, exit status 77; the input: /some/where-crash-1234'
check '1 failures'
grep -q -- '-max_total_time=7 ' "$tmp/arguments" || fail "arguments: $(cat "$tmp/arguments")"
grep -q "^--output_base=$tmp/base-libfuzzer .*build --config=libfuzzer --repo_env=CC=fake-clang .* //a:good_fuzz_test" \
  "$tmp/bazel.log" || fail "Bazel: $(cat "$tmp/bazel.log")"

rm "$tmp/bin/a/bad_fuzz_test"
cp "$tmp/bin/a/good_fuzz_test" "$tmp/bin/a/bad_fuzz_test"
TMPDIR=$tmp run 0
grep -q -- '-max_total_time=60 ' "$tmp/arguments" || fail "arguments: $(cat "$tmp/arguments")"

run 2 60 //nothing/...
check 'no fuzz target among //nothing/...'
run 2 soon
check 'usage'

# Without clang nothing is run, and why is said.
: > "$tmp/bazel.log"
CC=no-such-compiler run 0
check 'skipped: no-such-compiler is not there'
[[ ! -s $tmp/bazel.log ]] || fail "Bazel was called: $(cat "$tmp/bazel.log")"
echo "$failures failures"
exit $((failures > 0))
