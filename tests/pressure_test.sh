#!/usr/bin/env bash
exec /usr/bin/python3 tests/pressure_test.py "$@"
