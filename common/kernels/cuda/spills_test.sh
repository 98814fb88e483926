#!/usr/bin/env bash
# The table of registers and spills of all kernels; none of decode_kernels.txt spills.
set -eu
find -L common/kernels/cuda -name '*.ptxas' -print0 |
  xargs -0 /usr/bin/python3 tools/ptxas_report.py --no-spills common/kernels/cuda/decode_kernels.txt
