#!/usr/bin/env python3
"""Holds the rooms' dependencies (DEVELOPERS.md): who may include whom. Reads the sources of the workspace itself."""
import os
import re
import sys
import unittest

ROOT = os.path.dirname(os.path.realpath(sys.argv[1]))
del sys.argv[1]

# Room -> what its production code may include besides itself: whole rooms, or single headers of one.
ALLOWED = {
    "common/base": set(),
    "common/kernels": {"common/base"},
    "common/anchor": {"common/base", "common/kernels/head_ref.h", "common/kernels/row_shape.h"},
    "common/kv": {"common/base", "common/anchor", "common/kernels/step.h"},
    "common/model": {"common/base", "common/kernels"},
    "common/jinja": {"common/base"},
    "common/tokenizer": {"common/base", "common/anchor/policy.h", "common/anchor/ranges.h", "common/jinja",
                         "common/model/gguf.h"},
    "common/engine": {"common/base", "common/anchor", "common/kv", "common/kernels/step.h", "common/model/sampler.h"},
    "common/tls": {"common/base"},
    "common/rpc": {"common/base", "common/anchor/content.h", "common/anchor/ranges.h", "common/engine/node_stats.h",
                   "common/model/sampler.h", "common/tls"},
    "common/transfer": {"common/base", "common/anchor/chain.h", "common/anchor/content.h", "common/anchor/ranges.h",
                        "common/anchor/segment.h", "common/rpc", "common/tls"},
    "common/node": {"common/base", "common/anchor", "common/engine/node_stats.h", "common/kernels", "common/model",
                    "common/rpc", "common/tls", "common/tokenizer"},
    "common/testing": {"common/base", "common/kernels/dequantize.h", "common/kernels/tensor_type.h"},
    "prefill": {"common/base", "common/engine", "common/kernels/step.h", "common/kv", "common/node", "common/rpc",
                "common/transfer"},
    "decode": {"common/base", "common/anchor/outline.h", "common/anchor/tracker.h", "common/engine",
               "common/kernels/step.h", "common/kv", "common/model/sampler.h", "common/node", "common/rpc", "common/tls",
               "common/transfer"},
    "router": {"common/base", "common/anchor/policy.h", "common/anchor/ranges.h", "common/model/config.h", "common/model/model_files.h",
               "common/rpc", "common/tokenizer", "common/kernels/row_shape.h", "common/tls"},
    "eval": {"common/base", "common/anchor", "common/engine", "common/kernels/head_ref.h",
             "common/kernels/number_format.h", "common/kernels/row_shape.h", "common/kernels/step.h", "common/kv",
             "common/tokenizer"},
    "bench": {"eval/held_out.h", "common/base", "common/anchor", "common/engine", "common/kernels", "common/kv/page_pool.h",
              "common/model/gguf.h", "common/tokenizer"},
    "cli": {"bench", "eval", "common/base", "common/anchor", "common/engine", "common/kernels/create_ops.h",
            "common/kernels/device_report.h", "common/kernels/row_shape.h", "common/kernels/tensor_type.h", "common/model",
            "common/node", "common/rpc", "common/tls", "common/tokenizer"},
}
# Who may ask the machine's clock, which may be set at any time: for dates, and to tell others' times from its own.
# Everybody else counts and waits by a steady one (common/base/steady_time.h).
DATES = {"cli/local_cluster.cc", "common/base/clock.h", "common/base/wall_clock.h", "common/jinja/render_lines.cc",
         "common/model/config.cc", "common/rpc/deadline.cc", "common/tls/membership.cc"}
# Only these see gRPC or protos below the services.
GRPC_ROOMS = {"common/rpc", "common/tls", "common/transfer", "common/node", "prefill", "decode", "router", "cli"}


def room_of(path):
    for room in sorted(list(ALLOWED) + ["tests", "protos"], key=len, reverse=True):
        if path.startswith(room + "/"):
            return room
    return None


def sources():
    for top in ("common", "prefill", "decode", "router", "eval", "bench", "cli"):
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
                self.assertTrue(other in ALLOWED[room] or included in ALLOWED[room], f"{path} includes {included}")
        self.assertGreater(seen, 100)

    def test_cuda_is_a_word_of_the_kernels_alone(self):
        for path in sources():
            if path.startswith("common/kernels/") or path == "cli/main.cc":  # which names the launcher's commands
                continue
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                self.assertNotRegex(file.read(), r"(?i)\bcuda", path)

    def test_waits_and_durations_are_a_steady_clocks(self):
        asking = set()
        for path in sources():
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                text = file.read()
            self.assertIsNone(re.search(r"(Wait|Await|LockWhen|Notification)With(Timeout|Deadline)\(", text), path)
            if re.search(r"absl::Now\(\)|system_clock::now\(\)", text):
                asking.add(path)
        self.assertEqual(asking, DATES)


if __name__ == "__main__":
    unittest.main()
