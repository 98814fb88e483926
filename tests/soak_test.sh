#!/usr/bin/env bash
exec /usr/bin/python3 tests/soak_test.py "$@"
