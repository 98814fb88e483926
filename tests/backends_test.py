#!/usr/bin/env python3
"""Nodes of one numerics class that compute with different backends: whoever computes, the text is the same.

Run by Bazel with the paths of the programs; running_cluster.py says what it needs.
"""
import concurrent.futures
import contextlib
import os
import signal
import subprocess
import unittest

from programs import ENVIRONMENT, TOOL, children, copy_programs, make_model
from running_cluster import MODEL, Cluster, random_ids, request, stream, tool, wait_for

CPU, EMULATED = "cpu", "cuda-emulated"


@contextlib.contextmanager
def nodes(prefill, decode):
    """A cluster whose nodes have these backends."""
    cluster = Cluster(prefill=0, decode=0)
    try:
        for role, backends in (("prefill", prefill), ("decode", decode)):
            for backend in backends:
                cluster.add(role, "--backend", backend)
        wait_for(lambda: sum(node.ready for node in cluster.list()) == len(prefill) + len(decode), "all nodes ready")
        yield cluster
    finally:
        cluster.close()


def messages():
    for seed, policy in enumerate(["window", "full", "salient", "anchors=40+41+42,sinks=2,recent=8"]):
        yield request(random_ids(90 + 30 * seed, seed), policy=policy, max_tokens=16)
    yield request(random_ids(100, 9), policy="salient", max_tokens=16, temperature=1.0, top_p=0.9, seed=5)
    yield request(random_ids(60, 10), policy="full", max_tokens=16, logprobs=2, frequency_penalty=0.5)


class BackendsTest(unittest.TestCase):
    def test_prefill_and_decode_on_any_backend_give_one_text(self):
        with nodes([CPU], [CPU]) as cluster:
            expected = [stream(cluster, message)[:2] for message in messages()]
        self.assertGreater(len({text for _, text in expected}), 3)
        for prefill, decode in ((CPU, EMULATED), (EMULATED, CPU), (EMULATED, EMULATED)):
            with nodes([prefill], [decode]) as cluster:
                for message, (ids, text) in zip(messages(), expected):
                    got_ids, got_text, last, _ = stream(cluster, message)
                    self.assertEqual((got_ids, got_text), (ids, text), (prefill, decode))
                    self.assertFalse(last.provenance.numerics_changed)
                    self.assertGreater(last.usage.segment_bytes, 0)

    def test_a_node_takes_over_from_one_with_another_backend(self):
        message = request(random_ids(80, 4), policy="full", max_tokens=120)
        with nodes([], [CPU]) as cluster:
            expected = stream(cluster, message)[0]
        for first, second in ((EMULATED, CPU), (CPU, EMULATED)):
            with nodes([], [first]) as cluster:
                call = cluster.stub.GenerateStream(message)
                ids = list(next(call).completions[0].token_ids)
                cluster.add("decode", "--backend", second)
                wait_for(lambda: sum(node.ready for node in cluster.list()) == 2, "the second node", 60)
                cluster.nodes["decode"][0].end(signal.SIGKILL)
                last = None
                for last in call:
                    for completion in last.completions:
                        ids.extend(completion.token_ids)
                self.assertEqual(ids, expected, (first, second))

    def test_a_lost_device_ends_its_node_and_the_answer_goes_on(self):
        message = request(random_ids(80, 5), policy="full", max_tokens=60)
        with nodes([], [CPU]) as cluster:
            expected = stream(cluster, message)[0]
        os.environ["KEDGE_EMULATED_CALLS"] = "3000"  # enough to be loaded and to begin
        with nodes([], [EMULATED]) as cluster:
            del os.environ["KEDGE_EMULATED_CALLS"]
            lost = cluster.nodes["decode"][0]
            cluster.add("decode", "--backend", CPU)
            wait_for(lambda: sum(node.ready for node in cluster.list()) == 2, "the second node")
            failovers = 0
            with concurrent.futures.ThreadPoolExecutor(6) as clients:  # at once: both nodes get some
                while lost.process.poll() is None:
                    for ids, _, last, _ in clients.map(lambda _: stream(cluster, message), range(6)):
                        self.assertEqual(ids, expected)
                        failovers += last.provenance.failovers
            self.assertGreater(failovers, 0)
            self.assertEqual(lost.process.returncode, 1, lost.log())
            self.assertRegex(lost.log(), "device failed.*is lost")
            wait_for(lambda: len([node for node in cluster.list() if node.ready]) == 1, "one node left")
            self.assertEqual(stream(cluster, message)[0], expected)

    def test_up_with_a_backend_answers(self):
        up = subprocess.Popen([TOOL, "up", "--model", MODEL, "--backend", EMULATED], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT)
        try:
            line = up.stdout.readline()
            self.assertRegex(line, r"^ready \S+:\d+$")
            self.assertEqual(sorted(children(up.pid).values()), ["kedge-decode", "kedge-prefill", "kedge-router"])
            result = tool("generate", "--router", line.split()[1], "--max-tokens", "5", "--format", "json", "Hello.")
            self.assertEqual(result.returncode, 0, result.stderr)
        finally:
            up.send_signal(signal.SIGTERM)
            self.assertEqual(up.wait(timeout=30), 0)
            up.stdout.close()


if __name__ == "__main__":
    copy_programs()
    make_model(MODEL, "tiny", 1)
    unittest.main(verbosity=2)
