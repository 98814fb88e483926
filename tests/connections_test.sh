#!/usr/bin/env bash
exec /usr/bin/python3 tests/connections_test.py "$@"
