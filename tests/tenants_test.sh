#!/usr/bin/env bash
exec /usr/bin/python3 tests/tenants_test.py "$@"
