#!/usr/bin/env bash
# Debian's Python, whose gRPC packages are in packages.txt; another python3 may stand first in PATH.
exec /usr/bin/python3 tests/clock_test.py "$@"
