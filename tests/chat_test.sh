#!/usr/bin/env bash
exec /usr/bin/python3 tests/chat_test.py
