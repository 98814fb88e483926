#!/usr/bin/env bash
# ./kedge in a copy of the repository, with a Bazel and an apt-get made of shell: what is called, when, and what is not.
set -u
unset KEDGE_MODEL KEDGE_VOCAB_DIR  # `./kedge test` passes them on to tests
unset CUDA_HOME
export KEDGE_CUDA=0  # whatever this machine has
tmp=$(cd "${TEST_TMPDIR:-$(mktemp -d)}" && pwd)
here=${TEST_SRCDIR:+$TEST_SRCDIR/$TEST_WORKSPACE}
here=${here:-$(cd "$(dirname "$0")/../.." && pwd)}
root="$tmp/a repository"  # Bazel itself refuses such a path
fakes=$tmp/fakes
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}
# check NAME TEXT: the last output has the text. deny: it has not.
check() { [[ $output == *"$2"* ]] || fail "$1: no \"$2\" in: $output"; }
deny() { [[ $output != *"$2"* ]] || fail "$1: \"$2\" in: $output"; }
equal() { [[ $2 == "$3" ]] || fail "$1: is \"$2\", not \"$3\""; }
builds() { grep -c '^build ' "$tmp/bazel.log" 2> /dev/null || true; }

mkdir -p "$root/cli" "$root/tools/launcher" "$root/third_party/cuda" "$fakes" "$tmp/elsewhere" "$tmp/info"
cp "$here/kedge" "$here/packages.txt" "$root/"
cp "$here/tools/launcher/"{count_tests.py,cuda_pack.sh} "$root/tools/launcher/"
cp "$here/third_party/cuda/find_toolkit.sh" "$here/third_party/cuda/wheels.txt" "$root/third_party/cuda/"
chmod -R u+w "$root"
echo one > "$root/cli/source"

# Builds programs that say what cli/source said when they were built.
cat > "$fakes/bazel" << 'FAKE'
#!/usr/bin/env bash
tmp=${0%/fakes/bazel}
arguments=()
for argument in "$@"; do
  [[ $argument =~ ^--(output_user_root=|max_idle_secs=|noblock_for_lock) ]] || arguments+=("$argument")
done
echo "${arguments[*]}" >> "$tmp/bazel.log"
echo "$HOME" > "$tmp/bazel_home"
[[ $PWD != *' '* ]] || { echo "a path with spaces: $PWD" >&2; exit 1; }
case ${arguments[0]} in
  build)
    echo "bazel builds"
    sleep "$(cat "$tmp/build_seconds" 2> /dev/null || echo 0)" &
    trap 'kill $!; exit 8' TERM
    wait $!
    [[ ! -e $tmp/build_fails ]] || exit 1
    for program in cli/kedge router/kedge-router prefill/kedge-prefill decode/kedge-decode \
      bench/kedge-bench-kernels; do
      mkdir -p "$tmp/out/${program%/*}"
      printf '#!/bin/bash\necho "built from %s: $# [$*] in $PWD"\n' "$(cat cli/source)" > "$tmp/out/$program.new"
      chmod 555 "$tmp/out/$program.new"
      mv -f "$tmp/out/$program.new" "$tmp/out/$program"
    done
    ;;
  info) echo "$tmp/out" ;;
  test)
    for argument in "${arguments[@]}"; do
      case $argument in --build_event_json_file=*) cp "$tmp/events" "${argument#*=}" ;; esac
    done
    exit "$(cat "$tmp/test_code")"
    ;;
esac
FAKE
cat > "$fakes/dpkg-query" << 'FAKE'
#!/usr/bin/env bash
tmp=${0%/fakes/dpkg-query}
for argument in "$@"; do
  [[ $argument == -* ]] || grep -qx "$argument" "$tmp/missing" 2> /dev/null || echo "$argument installed"
done
FAKE
cat > "$fakes/apt-get" << 'FAKE'
#!/usr/bin/env bash
tmp=${0%/fakes/apt-get}
echo "$*" >> "$tmp/apt.log"
echo "apt-get works"
[[ $* == *install* ]] || { touch "$tmp/updated"; exit 0; }
[[ ! -e $tmp/needs_update || -e $tmp/updated ]] || exit 100
rm -f "$tmp/missing"
FAKE
printf '#!/bin/sh\nexec "$@"\n' > "$fakes/sudo"
chmod +x "$fakes"/*
export PATH=$fakes:$PATH XDG_CACHE_HOME=$tmp/cache
unset HOME

# The first start builds; stdout is the tool's alone; the caller's directory and arguments arrive.
output=$(cd "$tmp/elsewhere" && "$root/kedge" run 'two words' '' 2> "$tmp/stderr")
equal "first start" "$output" "built from one: 3 [run two words ] in $tmp/elsewhere"
output=$(cat "$tmp/stderr")
check "first start, stderr" "kedge: building"
check "first start, stderr" "bazel builds"
equal "first start builds" "$(builds)" 1

# The second does not call Bazel at all, and is quick.
: > "$tmp/bazel.log"
begin=$(date +%s%N)
output=$("$root/kedge" up 2>&1)
took=$((($(date +%s%N) - begin) / 1000000))
equal "second start" "$output" "built from one: 1 [up] in $PWD"
equal "second start calls Bazel" "$(cat "$tmp/bazel.log")" ""
((took < 1000)) || fail "an up-to-date start takes $took ms"

# Through a symlink, and without anything to set: still up to date.
ln -s "$root/kedge" "$tmp/link"
output=$("$tmp/link" 2>&1)
equal "through a symlink" "$output" "built from one: 0 [] in $PWD"

# A change, a new file and a removed file are each built; documentation is not.
echo two > "$root/cli/source"
output=$("$root/kedge" 2> /dev/null)
equal "after a change" "$output" "built from two: 0 [] in $PWD"
touch "$root/cli/new_file"
"$root/kedge" > /dev/null 2>&1
equal "builds after a new file" "$(builds)" 2
rm "$root/cli/new_file"
"$root/kedge" > /dev/null 2>&1
equal "builds after a removed file" "$(builds)" 3
touch "$root/README.md" "$root/.hidden"
"$root/kedge" > /dev/null 2>&1
equal "builds after a change to documentation" "$(builds)" 3

# A build leaves the programs of those who run alone.
former=$(readlink -f "$root/.kedge/bin/kedge")
echo three > "$root/cli/source"
"$root/kedge" > /dev/null 2>&1
output=$("$former")
check "the former programs" "built from two"
((  $(ls -d "$root"/.kedge/build-* | wc -l) == 2 )) || fail "old builds pile up: $(ls "$root/.kedge")"

# Several at once that must build: one does.
echo four > "$root/cli/source"
: > "$tmp/bazel.log"
echo 1 > "$tmp/build_seconds"
for i in 1 2 3 4; do "$root/kedge" "$i" > "$tmp/together.$i" 2>&1 & done
wait
for i in 1 2 3 4; do
  output=$(tail -n 1 "$tmp/together.$i")
  equal "together, $i" "$output" "built from four: 1 [$i] in $PWD"
done
equal "builds together" "$(builds)" 1

# Who is up to date does not wait for the lock.
exec 9> "$root/.kedge/lock"
flock 9
output=$(timeout 10 "$root/kedge" 9>&- 2>&1)
equal "with the lock taken" "$output" "built from four: 0 [] in $PWD"
exec 9>&-

# A failed build runs nothing, and a signal ends a build at once.
echo five > "$root/cli/source"
touch "$tmp/build_fails"
output=$("$root/kedge" 2>&1) && fail "a failed build exits with 0"
check "failed build" "kedge: the build failed"
deny "failed build" "built from"
rm "$tmp/build_fails"
echo 30 > "$tmp/build_seconds"
"$root/kedge" > "$tmp/stopped" 2>&1 &
launcher=$!
for i in $(seq 100); do grep -q "bazel builds" "$tmp/stopped" && break; sleep 0.1; done
kill -TERM "$launcher"
begin=$SECONDS
wait "$launcher"
equal "exit code after SIGTERM" $? 143
((SECONDS - begin < 10)) || fail "SIGTERM takes $((SECONDS - begin)) s"
rm "$tmp/build_seconds"
output=$("$root/kedge" 2> /dev/null)
equal "after the signal" "$output" "built from five: 0 [] in $PWD"

# A checkout that cannot be written (here because of a file in the way) is built into the cache; once that is done,
# nothing is written, wherever it might be.
mv "$root/.kedge" "$tmp/kept"
touch "$root/.kedge"
: > "$tmp/bazel.log"
for i in 1 2; do
  output=$("$root/kedge" run 2> "$tmp/stderr")
  equal "read-only checkout, start $i" "$output" "built from five: 1 [run] in $PWD"
done
equal "builds of a read-only checkout" "$(builds)" 1
mv "$tmp/cache" "$tmp/cache.away"
touch "$tmp/cache"
output=$("$root/kedge" 2>&1) && fail "a start with no place for a build exits with 0"
check "no place at all" "kedge: cannot write to $root/.kedge, nor to $tmp/cache/kedge/built-"
rm "$root/.kedge"
mv "$tmp/kept" "$root/.kedge"
output=$("$root/kedge" run 2>&1)
equal "built, and no cache directory" "$output" "built from five: 1 [run] in $PWD"
rm "$tmp/cache"
mv "$tmp/cache.away" "$tmp/cache"

# Who has no home at all gets one beside the sources, and not where everybody may write.
printf '#!/bin/sh\nexit 2\n' > "$fakes/getent"
chmod +x "$fakes/getent"
cp -a "$root" "$tmp/plain"  # without a space, for which a build would go elsewhere
rm -r "$tmp/plain/.kedge"
(unset XDG_CACHE_HOME; "$tmp/plain/kedge" > /dev/null 2>&1)
equal "no home" "$(cat "$tmp/bazel_home")" "$tmp/plain/.kedge"
rm "$fakes/getent"

# Missing packages are named and installed, with fresh lists if that fails.
echo libgrpc++-dev > "$tmp/missing"
echo unzipp >> "$tmp/missing"
touch "$tmp/needs_update"
output=$("$root/kedge" 2>&1 > "$tmp/stdout")
check "install" "kedge: installing: libgrpc++-dev"
deny "install" "installing: libgrpc++-dev unzipp"
equal "stdout during an install" "$(cat "$tmp/stdout")" "built from five: 0 [] in $PWD"
output=$(cat "$tmp/apt.log")
check "apt-get" "install -y --no-install-recommends libgrpc++-dev"
check "apt-get" "update"
rm "$tmp/apt.log"
"$root/kedge" > /dev/null 2>&1
[[ ! -e $tmp/apt.log ]] || fail "apt-get is called with nothing missing"

# `bench peers` and `bench compare` are scripts, which get the programs' folder; cmake is installed for the first alone.
mkdir -p "$root/bench/peers"
echo 'import sys; print("peers", sys.argv[1:])' > "$root/bench/peers/bench_peers.py"
echo 'import sys; print("compare", sys.argv[1:])' > "$root/bench/compare.py"
echo cmake > "$tmp/missing"
rm -f "$tmp/updated" "$tmp/needs_update"
output=$("$root/kedge" bench compare A --rounds 2 2>&1 | tail -n 1)
equal "bench compare" "$output" "compare ['--programs', '$root/.kedge/$(readlink "$root/.kedge/bin")', 'A', '--rounds', '2']"
"$root/kedge" bench peers --help > /dev/null 2>&1
[[ ! -e $tmp/apt.log ]] || fail "cmake is installed for other commands"
output=$("$root/kedge" bench peers --works ttft_1 2>&1)
check "bench peers" "kedge: installing: cmake (cmake builds llama.cpp"
check "bench peers" "peers ['--programs', '$root/.kedge/$(readlink "$root/.kedge/bin")', '--works', 'ttft_1']"
[[ -z $(find "$root/bench" -name __pycache__) ]] || fail "the scripts leave files among the sources"
output=$("$root/kedge" bench kernels 2> /dev/null)
check "other parts of bench are the tool's" "2 [bench kernels]"

# Where a toolkit is: what CUDA_HOME names must be one; else it is an installed one, or what `./kedge cuda` fetched.
find_toolkit=$root/third_party/cuda/find_toolkit.sh
make_toolkit() { # FOLDER RELEASE LIB
  mkdir -p "$1/bin" "$1/include" "$1/$3"
  printf '#!/bin/sh\necho "Cuda compilation tools, release %s, V%s.88"\n' "$2" "$2" > "$1/bin/nvcc"
  chmod +x "$1/bin/nvcc"
  touch "$1/include/cuda_runtime.h" "$1/$3/libcudart_static.a"
}
make_toolkit "$tmp/toolkit" 13.0 lib64
make_toolkit "$tmp/old" 11.8 lib64
equal "CUDA_HOME" "$(CUDA_HOME=$tmp/toolkit "$find_toolkit" 2>&1)" "$tmp/toolkit"
output=$(CUDA_HOME=/nowhere "$find_toolkit" 2>&1) && fail "a CUDA_HOME that is nowhere is taken"
equal "no toolkit" "$output" "CUDA_HOME: there is no /nowhere/bin/nvcc: set it to an installed CUDA toolkit, or unset it"
output=$(CUDA_HOME=$tmp/old "$find_toolkit" 2>&1) && fail "an old toolkit is taken"
check "an old toolkit" "CUDA_HOME: $tmp/old/bin/nvcc is of CUDA 11.8, and Kedge needs 12.8 or later: "
rm "$tmp/old/include/cuda_runtime.h"
output=$(CUDA_HOME=$tmp/old "$find_toolkit" 2>&1) && fail "half a toolkit is taken"
check "half a toolkit" "$tmp/old has no cuda_runtime.h or no libcudart_static.a"
fetched=$("$find_toolkit" --folder)
check_folder='^'$tmp/cache/kedge/cuda/'[0-9.]+-nccl-[0-9.]+$'
[[ $fetched =~ $check_folder ]] || fail "the folder of \`./kedge cuda\` is $fetched"
if [[ ! -e /usr/local/cuda ]]; then
  output=$("$find_toolkit" 2>&1) && fail "a toolkit is found where there is none"
  check "none" "there is no CUDA toolkit (there is no /usr/local/cuda/bin/nvcc; there is no $fetched/bin/nvcc): fetch"
  make_toolkit "$fetched" 13.0 lib
  equal "what was fetched" "$("$find_toolkit")" "$fetched"
  rm -r "$fetched"
fi

# `kedge cuda` is a script, which is told where to put it, and needs no build.
echo 'import sys; print("fetch", sys.argv[1:])' > "$root/tools/launcher/fetch_cuda.py"
: > "$tmp/bazel.log"
equal "kedge cuda" "$("$root/kedge" cuda --help 2>&1)" \
  "fetch ['--wheels', '$root/third_party/cuda/wheels.txt', '--folder', '$fetched', '--help']"
equal "builds for it" "$(builds)" 0

# A build is for GPUs where there are one and a toolkit, or by KEDGE_CUDA.
cuda_builds() { grep -c '^build .*--config=cuda' "$tmp/bazel.log" || true; }
sed -i "s|/dev/nvidia|$tmp/dev/nvidia|" "$root/kedge"
export CUDA_HOME=$tmp/toolkit
unset KEDGE_CUDA
"$root/kedge" > /dev/null 2>&1
equal "builds with CUDA and no GPU" "$(cuda_builds)" 0
mkdir "$tmp/dev"
touch "$tmp/dev/nvidia0"
output=$("$root/kedge" 2>&1)
check "a GPU and a toolkit" "kedge: building with CUDA ($tmp/toolkit)"
equal "builds with a GPU and a toolkit" "$(cuda_builds)" 1
output=$("$root/kedge" 2>&1)
equal "the second start" "$output" "built from five: 0 [] in $PWD"
output=$(CUDA_HOME=/nowhere "$root/kedge" 2>&1)
check "a GPU and no toolkit" "kedge: there is an NVIDIA GPU, and this build is without it: CUDA_HOME: there is no /nowhere"
check "a GPU and no toolkit" "built from five"
equal "builds with a GPU and no toolkit" "$(cuda_builds)" 1
touch -d 2000-01-01 "$tmp/toolkit/bin/nvcc"
"$root/kedge" > /dev/null 2>&1
equal "builds after another toolkit came" "$(cuda_builds)" 2
KEDGE_CUDA=0 "$root/kedge" > /dev/null 2>&1
rm -r "$tmp/dev"
equal "builds with KEDGE_CUDA=0" "$(cuda_builds)" 2
touch "$root/cli/source"
KEDGE_CUDA=1 "$root/kedge" > /dev/null 2>&1
equal "builds with KEDGE_CUDA=1" "$(cuda_builds)" 3
output=$(KEDGE_CUDA=1 CUDA_HOME=/nowhere "$root/kedge" 2>&1) && fail "KEDGE_CUDA=1 without a toolkit exits with 0"
equal "KEDGE_CUDA=1 without a toolkit" "$output" \
  "kedge: KEDGE_CUDA: CUDA_HOME: there is no /nowhere/bin/nvcc: set it to an installed CUDA toolkit, or unset it"
output=$(KEDGE_CUDA=yes "$root/kedge" 2>&1) && fail "KEDGE_CUDA=yes exits with 0"
check "KEDGE_CUDA=yes" 'KEDGE_CUDA: "yes" is neither 1 nor 0'
output=$("$root/kedge" doctor --format json 2> /dev/null)
check "doctor" "[doctor --toolkit $tmp/toolkit --format json]"
unset CUDA_HOME
export KEDGE_CUDA=0

# `cuda pack` builds what a pack needs, and has it put together; a folder with anything else in it stays as it is.
mkdir -p "$root/tests/gpu" "$tmp/packs/mine"
printf '#!/bin/bash\nprintf "[%%s]" "$@"\n' > "$root/tests/gpu/make_pack.sh"
chmod +x "$root/tests/gpu/make_pack.sh"
: > "$tmp/bazel.log"
output=$("$root/kedge" cuda pack --without-cuda "$tmp/packs/new" 2> /dev/null)
equal "cuda pack" "$output" "[$tmp/out][][$tmp/packs/new]"
output=$(grep '^build ' "$tmp/bazel.log")
check "cuda pack" " //tests/gpu/check:gpu_check "
check "cuda pack" " //decode:kedge-decode"
deny "cuda pack --without-cuda" "--config=cuda"
touch "$tmp/packs/mine/file"
output=$("$root/kedge" cuda pack --without-cuda "$tmp/packs/mine" 2>&1) && fail "cuda pack writes over a folder of others"
check "cuda pack" "kedge: cuda pack: $tmp/packs/mine is not empty, and no pack"
output=$("$root/kedge" cuda pack --now 2>&1) && fail "cuda pack takes any flag"
check "cuda pack" "kedge: cuda pack: unknown flag --now"
output=$("$root/kedge" cuda pack --help)
check "cuda pack --help" "a folder with which a machine proves and measures Kedge on its GPU"

# Elsewhere than on Debian the list is printed.
mkdir -p "$tmp/other"
for program in bash env readlink id getent cut; do ln -s "$(command -v $program)" "$tmp/other/$program"; done
output=$(PATH=$tmp/other "$root/kedge" 2>&1) && fail "a start elsewhere exits with 0"
check "not Debian" "this is no Debian or Ubuntu"
check "not Debian" "libgrpc++-dev"
deny "not Debian" "#"

# `kedge test`: what is asked of Bazel, and the closing line.
case_xml() { # FILE CASES: a test.xml in gtest's form
  printf '<?xml version="1.0"?><testsuites><testsuite name="S">%s</testsuite></testsuites>' "$2" > "$tmp/$1"
}
result() { # LABEL ATTEMPT STATUS XML: one event
  printf '{"id":{"testResult":{"label":"%s","run":1,"shard":1,"attempt":%s}},' "$1" "$2"
  printf '"testResult":{"status":"%s","testActionOutput":[{"name":"test.xml","uri":"file://%s"}]}}\n' "$3" "$tmp/$4"
}
good='<testcase name="A" status="run" result="completed" classname="S"/>'
bad='<testcase name="B" status="run" classname="S"><failure message="no"/></testcase>'
skip='<testcase name="C" status="run" result="skipped" classname="S"><skipped message="no model"/></testcase>'
off='<testcase name="D" status="notrun" result="suppressed" classname="S"/>'
case_xml good.xml "$good$good$skip$off"
case_xml bad.xml "$good$bad"
case_xml 'with%20space.xml' "$good"
mv "$tmp/with%20space.xml" "$tmp/with space.xml"

# run_tests CODE ARGUMENTS...: the events come on stdin.
run_tests() {
  cat > "$tmp/events"
  echo "$1" > "$tmp/test_code"
  shift
  : > "$tmp/bazel.log"
  output=$("$root/kedge" test "$@" 2> /dev/null)
  code=$?
  last=$(tail -n 1 <<< "$output")
}

run_tests 0 < <(result //a:good 1 PASSED good.xml; result //a:space 1 PASSED with%20space.xml)
equal "green" "$last, $code" "3 passed, 0 failed, 1 skipped, 0"
output=$(cat "$tmp/bazel.log")
check "all tests" " //..."
deny "all tests" "KEDGE_MODEL"

run_tests 3 --test_filter=S.B //a:bad < <(result //a:bad 1 FAILED bad.xml; result //a:gone 1 TIMEOUT gone.xml)
equal "red" "$last, $code" "1 passed, 2 failed, 1"
check "red" "FAILED: //a:bad S B"
check "red" "FAILED: //a:gone (TIMEOUT)"
output=$(cat "$tmp/bazel.log")
check "a pattern" "--test_filter=S.B //a:bad"
deny "a pattern" "//..."

run_tests 0 < <(result //a:flaky 1 FAILED bad.xml; result //a:flaky 2 FLAKY good.xml)
equal "the last attempt counts" "$last, $code" "2 passed, 0 failed, 1 skipped, 0"

run_tests 1 < <(result //a:good 1 PASSED good.xml
  echo '{"id":{"targetCompleted":{"label":"//a:broken"}},"aborted":{"reason":"ANALYSIS_FAILURE"}}'
  echo '{"id":{"targetCompleted":{"label":"//a:good"}},"completed":{"success":true}}')
equal "not built" "$last, $code" "2 passed, 1 failed, 1 skipped, 1"
check "not built" "FAILED: //a:broken (not built)"

run_tests 0 < <(result //a:good 1 PASSED good.xml
  echo '{"id":{"targetCompleted":{"label":"//a:for_cuda"}},"aborted":{"reason":"SKIPPED"}}')
equal "not for this build" "$last, $code" "2 passed, 0 failed, 2 skipped, 0"

run_tests 2 < /dev/null
equal "Bazel failed without a word" "$last, $code" "0 passed, 1 failed, 1"

mkdir -p "$tmp/cache/kedge"
touch "$tmp/cache/kedge/SmolLM2-135M-Instruct.Q4_1.gguf"
KEDGE_VOCAB_DIR=/vocab run_tests 0 < <(result //a:good 1 PASSED good.xml)
output=$(cat "$tmp/bazel.log")
check "the model" "--test_env=KEDGE_MODEL=$tmp/cache/kedge/SmolLM2-135M-Instruct.Q4_1.gguf"
check "the vocabularies" "--test_env=KEDGE_VOCAB_DIR=/vocab"

echo "$failures failures"
exit $((failures > 0))
