#!/usr/bin/env bash
# The host's side of the probe builds where there is no Abseil: the script compiles the sources of the workspace with
# the few names of absl_names.h, of which a header of the kernels may one day want more.
set -eu
root=$(dirname "$(realpath WORKSPACE)")
exec "$root/tests/gpu/run_on_hardware.sh" --host-only "$TEST_TMPDIR/out"
