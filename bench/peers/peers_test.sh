#!/usr/bin/env bash
PYTHONPATH=. exec /usr/bin/python3 -B -m bench.peers.peers_test
