#!/usr/bin/env python3
"""Holds the rooms' dependencies (DEVELOPERS.md): who may include whom. Reads the sources of the workspace itself."""
import os
import re
import sys
import unittest

ROOT = os.path.dirname(os.path.realpath(sys.argv[1]))
del sys.argv[1]

BASE = {"common/base"}
KERNELS = BASE | {"common/kernels"}
ANCHOR = KERNELS | {"common/anchor"}
MODEL = KERNELS | {"common/model"}
ENGINE = ANCHOR | MODEL | {"common/kv", "common/engine"}
RPC = ENGINE | {"common/rpc", "protos"}
# Room -> rooms whose headers its production code may include, itself apart.
ALLOWED = {
    "common/base": set(),
    "common/kernels": BASE,
    "common/anchor": KERNELS,
    "common/kv": ANCHOR,
    "common/model": KERNELS,
    "common/tokenizer": MODEL | {"common/anchor"},
    "common/engine": ENGINE,
    "common/rpc": RPC,
    "common/transfer": RPC,
    "common/node": RPC | {"common/tokenizer", "common/transfer"},
    "common/testing": MODEL,
    "prefill": RPC | {"common/transfer", "common/node"},
    "decode": RPC | {"common/transfer", "common/node"},
    "router": RPC | {"common/tokenizer"},
    "cli": RPC | {"common/tokenizer", "common/node"},
}
# Only these see gRPC or protos below the services.
GRPC_ROOMS = {"common/rpc", "common/transfer", "common/node", "prefill", "decode", "router", "cli"}


def room_of(path):
    for room in sorted(list(ALLOWED) + ["tests", "protos"], key=len, reverse=True):
        if path.startswith(room + "/"):
            return room
    return None


def sources():
    for top in ("common", "prefill", "decode", "router", "cli"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if name.endswith((".h", ".cc")) and not re.search(r"_(test|fuzzer|benchmark)\.cc$|testing\.(h|cc)$", name):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


class LayersTest(unittest.TestCase):
    def test_rooms_include_only_what_lies_below(self):
        seen = 0
        for path in sources():
            room = room_of(path)
            self.assertIsNotNone(room, path)
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                text = file.read()
            for included in re.findall(r'#include "([^"]+)"', text):
                other = room_of(included)
                if included.startswith(("kedge/inference", "kedge/node", "grpcpp/", "google/protobuf")):
                    self.assertIn(room, GRPC_ROOMS, f"{path} includes {included}")
                if other is None or other in (room, "protos"):
                    continue
                seen += 1
                if room == "common/tokenizer" and path.endswith("test_vocabulary.cc"):
                    continue  # testonly
                self.assertIn(other, ALLOWED[room], f"{path} includes {included}")
        self.assertGreater(seen, 100)

    def test_cuda_is_a_word_of_the_kernels_alone(self):
        for path in sources():
            if path.startswith("common/kernels/"):
                continue
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                self.assertNotRegex(file.read(), r"(?i)\bcuda", path)


if __name__ == "__main__":
    unittest.main()
