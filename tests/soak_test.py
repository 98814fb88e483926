#!/usr/bin/env python3
"""A mixed load of all that clients and networks do: no process grows, none ends, no row stays.

KEDGE_SOAK_SECONDS says for how long (20; the claim is made for 3600), KEDGE_SOAK_PAUSE how many seconds each of the
clients rests between two things (0).
"""
import collections
import os
import random
import socket
import threading
import time
import unittest

import grpc

from programs import copy_programs, make_model
from running_cluster import MODEL, Cluster, inference_pb2_grpc, model_pb2, model_pb2_grpc, pb, random_ids, request, wait_for

SECONDS = float(os.environ.get("KEDGE_SOAK_SECONDS", "20"))
PAUSE = float(os.environ.get("KEDGE_SOAK_PAUSE", "0"))
CLIENTS = 6
# Of what a process holds once it is warm. Caches and the allocator fill for minutes, so a short run says less.
MAY_GROW = 0.02 if SECONDS >= 1800 else 0.25
# What may end otherwise than well.
MAY_END = {("be_late", "DEADLINE_EXCEEDED"), ("be_late", "RESOURCE_EXHAUSTED"), ("ask_wrong", "INVALID_ARGUMENT"),
           ("send_garbage", "ConnectionResetError"), ("send_garbage", "BrokenPipeError")}
POLICIES = ("", "full", "window", "salient", "anchors=sentence")


class Client(threading.Thread):
    """One client, which does things of all kinds in an order drawn from its seed, and counts how they end."""

    def __init__(self, cluster, seed, end):
        super().__init__()
        self.random = random.Random(seed)
        self.cluster, self.end = cluster, end
        self.counts = collections.Counter()
        self.wrong = []
        self.connect()

    def connect(self):
        # A subchannel of its own: gRPC would share one connection among all clients of the process.
        self.channel = grpc.insecure_channel(self.cluster.address, [("grpc.use_local_subchannel_pool", 1)])
        self.stub = inference_pb2_grpc.InferenceServiceStub(self.channel)
        self.models = model_pb2_grpc.ModelServiceStub(self.channel)

    def message(self, **kwargs):
        # Few texts: else the router's memory of who was sent which beginning (65,536) fills for hours.
        ids = random_ids(self.random.randrange(1, 300), self.random.randrange(100))
        message = request(ids, policy=self.random.choice(POLICIES), max_tokens=self.random.randrange(1, 60),
                          temperature=self.random.choice((0.0, 1.0)), **kwargs)
        message.cache_options.cache_salt = self.random.choice(("", "a", "b"))
        return message

    def generate(self):
        self.stub.Generate(self.message(n=self.random.choice((1, 1, 3))), timeout=30)

    def generate_stream(self):
        for _ in self.stub.GenerateStream(self.message(logprobs=self.random.choice((None, 3))), timeout=30):
            pass

    def cancel(self):
        stream = self.stub.GenerateStream(self.message(), timeout=30)
        for _ in range(self.random.randrange(3)):
            next(stream, None)
        stream.cancel()

    def be_late(self):
        self.stub.Generate(self.message(), timeout=self.random.choice((0.001, 0.02)))

    def ask_wrong(self):
        message = self.message()
        message.sampling_params.top_p = 7
        self.stub.Generate(message, timeout=30)

    def ask_text(self):
        text = "é word\n" * self.random.randrange(1, 20)
        self.stub.Generate(request(text=text, max_tokens=8), timeout=30)

    def tokenize(self):
        text = "many words " * self.random.choice((1, 1000, 20000))
        ids = self.models.Tokenize(model_pb2.TokenizeRequest(text=text), timeout=30).token_ids
        self.models.Detokenize(model_pb2.DetokenizeRequest(token_ids=ids[:100]), timeout=30)

    def ask_cluster(self):
        self.models.ListModels(model_pb2.ListModelsRequest(), timeout=30)
        self.cluster.list()

    def come_again(self):
        self.channel.close()
        self.connect()

    def send_garbage(self):
        host, port = self.cluster.address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(self.random.choice((b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                                                   self.random.randbytes(1000))))

    def run(self):
        kinds = (self.generate, self.generate, self.generate_stream, self.generate_stream, self.cancel, self.be_late,
                 self.ask_wrong, self.ask_text, self.tokenize, self.ask_cluster, self.come_again, self.send_garbage)
        while time.monotonic() < self.end:
            kind = self.random.choice(kinds)
            code, said = "OK", ""
            try:
                kind()
            except grpc.RpcError as error:
                code, said = error.code().name, error.details()
            except Exception as error:  # of any kind: the test says which may be
                code, said = type(error).__name__, str(error)
            self.counts[kind.__name__, code] += 1
            if code != "OK" and (kind.__name__, code) not in MAY_END:
                self.wrong.append((kind.__name__, code, said))
            time.sleep(PAUSE)
        self.channel.close()


def resident(process):
    with open(f"/proc/{process.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class SoakTest(unittest.TestCase):
    def test_nothing_grows_and_nothing_ends(self):
        # Little memory for rows, so that caches are soon full and answers outgrow it.
        cluster = Cluster(prefill=1, decode=2, policy="salient", kv_memory="2")
        self.addCleanup(cluster.close)
        processes = {"router": cluster.router, "prefill": cluster.nodes["prefill"][0]}
        processes |= {f"decode {i}": node for i, node in enumerate(cluster.nodes["decode"], 1)}
        begin = time.monotonic()
        clients = [Client(cluster, seed, begin + SECONDS) for seed in range(CLIENTS)]
        for client in clients:
            client.start()
        samples = collections.defaultdict(list)  # KiB
        while time.monotonic() < begin + SECONDS:
            time.sleep(SECONDS / 80)
            for name, process in processes.items():
                self.assertIsNone(process.process.poll(), f"{name} ended: {process.log()}")
                samples[name].append(resident(process))
        counts = collections.Counter()
        for client in clients:
            client.join()
            counts += client.counts
            self.assertEqual(client.wrong, [])
        print(dict(counts))
        for kind in ("generate", "generate_stream", "cancel", "ask_text", "tokenize", "ask_cluster"):
            self.assertGreater(counts[kind, "OK"], 0, kind)
        self.assertEqual(counts["ask_wrong", "INVALID_ARGUMENT"],
                         sum(count for (kind, _), count in counts.items() if kind == "ask_wrong"))
        wait_for(lambda: cluster.reserved_rows() == 0, "all rows are free")
        for name, sizes in samples.items():
            # The second quarter, after the first one has warmed it, beside the last.
            quarter = len(sizes) // 4
            before, after = max(sizes[quarter:2 * quarter]), max(sizes[-quarter:])
            print(f"{name}: {before} KiB, then {after} ({after / before - 1:+.1%}); at first {sizes[0]}")
            self.assertLess(after, before * (1 + MAY_GROW), name)


if __name__ == "__main__":
    copy_programs()
    make_model(MODEL, "tiny", 1)
    unittest.main(verbosity=2)
