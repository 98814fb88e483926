#!/usr/bin/env bash
# The tests of this folder, with the first Python that has PyTorch: $KEDGE_PYTHON, run.sh's, the system's.
home=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
for python in "${KEDGE_PYTHON:-}" "${XDG_CACHE_HOME:-$home/.cache}/kedge/training/bin/python" /usr/bin/python3; do
  if [[ -n $python ]] && "$python" -c 'import gguf, tokenizers, torch' 2> /dev/null; then
    export OMP_NUM_THREADS=1
    exec "$python" -m unittest discover -s training -p '*_test.py'
  fi
done
echo "skipped: no Python with torch, gguf and tokenizers is here; training/run.sh installs one, or give" \
  "bazel --test_env=KEDGE_PYTHON=/path/to/venv/bin/python"
