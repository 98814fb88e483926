#!/usr/bin/env bash
# gpu_check needs the C library and nothing else: it says so itself, and runs in a root that holds nothing else.
set -eu
program=$(realpath tests/gpu/check/gpu_check)

needed=$(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
if [[ $needed == *san.so* ]]; then
  echo "skipped: a sanitizer's library is linked in"
  exit
fi
for library in $needed; do
  case $library in
    libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | librt.so.1 | ld-linux-x86-64.so.2) ;;
    *) echo "FAILED: needs $library"; exit 1 ;;
  esac
done

root=$TEST_TMPDIR/root
loader=$(readelf -l "$program" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
mkdir -p "$root/lib" "$root/${loader%/*}"
cp -L "$program" "$root/gpu_check"
cp -L "$loader" "$root$loader"
for library in $needed; do cp -L "$(gcc -print-file-name="$library")" "$root/lib/"; done
if ! unshare --user --map-root-user --root="$root" /gpu_check --help > "$TEST_TMPDIR/help" 2> "$TEST_TMPDIR/error"; then
  cat "$TEST_TMPDIR/error"
  if grep -q "^unshare: .*\(not permitted\|denied\)" "$TEST_TMPDIR/error"; then
    echo "skipped: a root of one's own is not permitted here"
    exit
  fi
  exit 1
fi
grep -q "gpu_check \[OPTIONS\] SUBCOMMAND" "$TEST_TMPDIR/help"
echo "runs in a bare root"
