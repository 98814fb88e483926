#!/usr/bin/env bash
exec /usr/bin/python3 tests/bounds_test.py "$@"
