#!/usr/bin/env bash
exec /usr/bin/python3 tests/layers_test.py WORKSPACE
