#!/usr/bin/env bash
exec /usr/bin/python3 -B tools/launcher/fetch_cuda_test.py
