#!/usr/bin/env bash
exec /usr/bin/python3 tests/eval_test.py
