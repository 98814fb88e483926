#!/usr/bin/env bash
# Runs a script of this folder: `training/run.sh train --model FILE ...`. The first time it makes a Python environment in
# ~/.cache/kedge/training and installs requirements.txt into it from PyPI; later starts only compare that file.
set -euo pipefail

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
venv=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/kedge/training

die() { printf 'training: %s\n' "$*" >&2; exit 1; }

script=${1:-}
[[ -n $script && -f $here/$script.py ]] ||
  die "usage: run.sh SCRIPT [FLAGS]; scripts: corpus train sample export_adapter score card (each has --help)"
shift

if ! cmp --silent "$here/requirements.txt" "$venv/installed.txt"; then
  command -v python3 > /dev/null || die "python3 is missing: apt-get install python3 python3-venv"
  printf 'training: installing into %s (PyTorch is large)\n' "$venv" >&2
  python3 -m venv "$venv" >&2 || die "python3 cannot make an environment: apt-get install python3-venv"
  "$venv/bin/pip" install --quiet --requirement "$here/requirements.txt" >&2 ||
    die "pip could not install requirements.txt (see above); a network or a pip mirror is needed once"
  cp "$here/requirements.txt" "$venv/installed.txt"
fi

# With glibc's allocator half of a step goes into page faults of memory that was just given back.
for jemalloc in /usr/lib/*/libjemalloc.so.2; do
  if [[ -e $jemalloc ]]; then export LD_PRELOAD=$jemalloc; else echo "training: slower without libjemalloc2" >&2; fi
done
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}  # threads that wait leave the cores to others
exec "$venv/bin/python" "$here/$script.py" "$@"
