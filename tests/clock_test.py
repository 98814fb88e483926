#!/usr/bin/env python3
"""Clocks of machines that are wrong, and that are set while the real processes run; and certificates that expire.

Run by Bazel with the paths of the programs; running_cluster.py says what it needs. Each program has a clock of its own:
tests/machine_clock.cc.
"""
import concurrent.futures
import contextlib
import os
import struct
import threading
import time
import unittest

import grpc

from door_test import SecureCluster, certs, channel, credentials, list_nodes
from programs import TMP, copy_programs, make_model
from running_cluster import (MODEL, NO_CACHE, inference_pb2_grpc, random_ids, request, running, stream, wait_for)

CLOCKS = os.path.join(TMP, "clocks")
PROGRAMS = ("router", "prefill", "decode")
MINUTE, DAY = 60, 86400


def set_clocks(seconds, programs=PROGRAMS):
    """By so many seconds they are ahead from now on."""
    for program in programs:
        with open(os.path.join(CLOCKS, f"kedge-{program}"), "r+b") as file:
            file.write(struct.pack("=q", seconds))


def start_with_clocks():
    """Programs that are started from now on have them."""
    os.makedirs(CLOCKS)
    for program in PROGRAMS:
        with open(os.path.join(CLOCKS, f"kedge-{program}"), "wb") as file:
            file.write(bytes(8))
    os.environ.update(LD_PRELOAD=os.path.abspath("tests/machine_clock.so"), KEDGE_CLOCKS=CLOCKS)


@contextlib.contextmanager
def answers_all_along(cluster, message, with_rows=False):
    """While the block runs, the same is asked again and again; each answer is whole. `with_rows`: of a prefill node."""
    expected = stream(cluster, message)[0]
    done = threading.Event()

    def ask():
        count = 0
        while not done.is_set():
            ids, _, last, _ = stream(cluster, message, timeout=20)
            assert ids == expected and (last.usage.segment_bytes > 0 or not with_rows), last
            count += 1
        return count
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        askers = [pool.submit(ask) for _ in range(2)]
        try:
            yield
        finally:
            done.set()
        for asker in askers:
            assert asker.result() > 0


class ClocksTest(unittest.TestCase):
    def tearDown(self):
        set_clocks(0)

    def all_ready(self, cluster):
        self.assertEqual([node.ready for node in cluster.list()], [True] * 3)

    def test_machines_whose_clocks_differ_serve_as_others_do(self):
        message = request(random_ids(120, 1), max_tokens=60)
        with running(prefill=1, decode=2) as c:
            expected = stream(c, message)[0]
        set_clocks(10 * MINUTE, ["prefill"])
        set_clocks(-10 * MINUTE, ["decode"])
        with running(prefill=1, decode=2, node_flags=NO_CACHE) as c, answers_all_along(c, message, with_rows=True):
            self.assertEqual(stream(c, message)[0], expected)
            time.sleep(3)  # longer than a node may be silent
            self.all_ready(c)

    def test_setting_a_clock_ends_no_answer_and_takes_no_node_out(self):
        message = request(random_ids(120, 2), max_tokens=60)
        with running(prefill=1, decode=2, node_flags=NO_CACHE) as c:
            for seconds in (-10 * MINUTE, 10 * MINUTE, -DAY):
                for programs in (["router"], ["prefill"], ["decode"], PROGRAMS):
                    with self.subTest(seconds=seconds, programs=programs):
                        with answers_all_along(c, message, with_rows=True):
                            set_clocks(seconds, programs)
                            time.sleep(3)  # longer than a node may be silent
                            self.all_ready(c)
                    set_clocks(0)
            with self.subTest("while nobody asks"):
                set_clocks(-10 * MINUTE)
                time.sleep(6)  # longer than an engine may stand still
                self.all_ready(c)
                self.assertGreater(stream(c, message, timeout=20)[2].usage.segment_bytes, 0)
            for process in [*c.nodes["prefill"], *c.nodes["decode"]]:
                self.assertNotIn("not registered", process.log())


class ExpiryTest(unittest.TestCase):
    def test_a_certificate_that_was_renewed_in_time_may_expire(self):
        c = SecureCluster(days=1)
        try:
            before = credentials("ops")
            with grpc.insecure_channel(c.address) as opened:
                c.stub = inference_pb2_grpc.InferenceServiceStub(opened)
                with answers_all_along(c, request(random_ids(120, 3), max_tokens=300)):
                    certs(*c.members)
                    time.sleep(3)  # the files are read every second
                    set_clocks(2 * DAY)
                    time.sleep(3)
                    with channel(c.cluster_address, before) as old, self.assertRaises(grpc.RpcError) as raised:
                        list_nodes(old)
                    self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)  # it did expire
                    c.reopen()
                    self.assertEqual(c.ready(), ["decode-0", "decode-1", "prefill-0"])
                for node in c.nodes.values():
                    self.assertNotIn("not registered", node.log())
                # All connections anew: of nodes to the router and back, and between nodes.
                c.nodes["decode-1"].end()
                c.nodes["decode-1"] = c.start("decode-1")
                c.restart_router()
                c.wait_until_ready(3)
            with grpc.insecure_channel(c.address) as opened:
                c.stub = inference_pb2_grpc.InferenceServiceStub(opened)

                def serves(node):
                    for seed in range(20):
                        _, _, last, trailing = stream(c, request(random_ids(120, 100 + seed)))
                        if trailing["kedge-decode-node"] == node and last.usage.segment_bytes > 0:
                            return True
                for node in ("decode-0", "decode-1"):
                    wait_for(lambda: serves(node), f"{node}, with rows of the prefill node")
        finally:
            c.close()


if __name__ == "__main__":
    copy_programs()
    make_model(MODEL, "tiny", 1)
    start_with_clocks()
    unittest.main(verbosity=2)
