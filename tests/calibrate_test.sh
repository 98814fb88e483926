#!/usr/bin/env bash
exec /usr/bin/python3 tests/calibrate_test.py
