#!/usr/bin/env bash
exec /usr/bin/python3 tools/ptxas_report_test.py
