#!/usr/bin/env bash
exec /usr/bin/python3 tests/bench_test.py
