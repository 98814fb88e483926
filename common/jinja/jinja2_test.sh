#!/usr/bin/env bash
# Everything that the interpreter renders, against jinja2. See jinja2_test.py.
exec /usr/bin/python3 common/jinja/jinja2_test.py
