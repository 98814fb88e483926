#!/usr/bin/env bash
exec /usr/bin/python3 tests/identity_test.py "$@"
