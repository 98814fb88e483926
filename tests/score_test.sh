#!/usr/bin/env bash
exec /usr/bin/python3 tests/score_test.py
