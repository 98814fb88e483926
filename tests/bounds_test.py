#!/usr/bin/env python3
"""What a byte from outside costs the router: memory, and others' time.

`KEDGE_MODEL` names a model whose vocabulary is used in the place of the tiny one's.
"""
import concurrent.futures
import os
import shutil
import threading
import time
import unittest

import grpc

from attacks import UnfinishedCalls, send_unfinished
from programs import BIN, make_model, read
from running_cluster import MODEL, Process, inference_pb2_grpc, model_pb2, model_pb2_grpc, pb

MIB = 1 << 20
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
SLACK = 2 * MIB  # beside what came: buffers of gRPC, a first request of its kind


class Router:
    def __init__(self):
        self.process = Process("router", "--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0",
                               "--model", os.environ.get("KEDGE_MODEL") or MODEL,
                               "--request-memory", "256", "--policy", "full")
        self.address = self.process.address()
        self.channel = grpc.insecure_channel(self.address, [("grpc.max_send_message_length", -1)])
        self.stub = inference_pb2_grpc.InferenceServiceStub(self.channel)
        self.models = model_pb2_grpc.ModelServiceStub(self.channel)
        self.models.Tokenize(model_pb2.TokenizeRequest(text="warm"), timeout=10)

    def memory(self, key):
        with open(f"/proc/{self.process.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith(key))

    def close(self):
        self.channel.close()
        self.process.end()

    def peak(self, method, message):
        """Bytes that the process takes at most while it answers, beyond what it had; and the answer's status."""
        with open(f"/proc/{self.process.process.pid}/clear_refs", "w", encoding="ascii") as clear:
            clear.write("5")
        before = self.memory("VmRSS")
        try:
            getattr(self.stub if method == "Generate" else self.models, method)(message, timeout=60)
            status = "OK"
        except grpc.RpcError as error:
            status = error.details()
        return self.memory("VmHWM") - before, status


class BoundsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        os.makedirs(BIN, exist_ok=True)
        shutil.copy("router/kedge-router", BIN)
        make_model(MODEL, "tiny", 1)
        cls.router = Router()

    @classmethod
    def tearDownClass(cls):
        cls.router.close()

    def test_memory_is_at_most_four_times_what_came(self):
        stop = pb.GenerateRequest(text="x", sampling_params=pb.SamplingParams(stop=["s" * (3 * MIB)], n=16))
        stops = pb.GenerateRequest(text="x", sampling_params=pb.SamplingParams(stop=["s"] * 3_000_000, n=16))
        empty = pb.GenerateRequest(messages=pb.ChatMessages(messages=[pb.ChatMessage()] * 400_000))
        pins = pb.GenerateRequest(text="x", cache_options=pb.CacheOptions(pinned=[pb.PinnedSpan()] * 1_000_000))
        text = pb.GenerateRequest(text="x " * (4 * MIB))
        ids = pb.GenerateRequest(token_ids=pb.TokenIds(ids=[1] * 9_000_000))
        detokenize = model_pb2.DetokenizeRequest(token_ids=[300] * 4_500_000)
        tokenize = model_pb2.TokenizeRequest(text="A few words. " * MIB)
        unknown = pb.GenerateRequest.FromString(b"\xf8\x01\x01" * 1_000_000)
        for name, method, message in (("a stop string", "Generate", stop), ("stop strings", "Generate", stops),
                                      ("empty messages", "Generate", empty), ("pins", "Generate", pins),
                                      ("text", "Generate", text), ("ids", "Generate", ids),
                                      ("detokenize", "Detokenize", detokenize), ("tokenize", "Tokenize", tokenize),
                                      ("unknown fields", "Generate", unknown)):
            size = message.ByteSize()
            router = Router()  # without memory that others have left
            peak, status = router.peak(method, message)
            router.close()
            print(f"{name}: {size / MIB:.1f} MiB came, {peak / MIB:.1f} MiB at most ({status})", flush=True)
            with self.subTest(name):
                self.assertNotEqual(status, "OK")
                self.assertLessEqual(peak, 4 * size + SLACK)

    def test_who_needs_no_key_costs_what_came(self):
        message, calls = b"\xf8\x01\x01" * 5_000_000, 8  # fields that nobody knows
        for name, path, expected in (("reflection", REFLECTION, grpc.StatusCode.RESOURCE_EXHAUSTED),
                                     ("health", "/grpc.health.v1.Health/Check", [b"\x08\x01"])):  # SERVING
            router = Router()
            before = router.memory("VmRSS")
            ask = router.channel.stream_stream(path)

            def code_of(_, ask=ask):
                try:
                    return list(ask(iter([message]), timeout=60))
                except grpc.RpcError as error:
                    return error.code()
            with concurrent.futures.ThreadPoolExecutor(calls) as pool:
                codes = list(pool.map(code_of, range(calls)))
            peak, came = router.memory("VmHWM") - before, calls * len(message)
            print(f"{name}: {came / MIB:.0f} MiB came, {peak / MIB:.0f} MiB at most ({codes[0]})", flush=True)
            router.close()
            with self.subTest(name):
                self.assertEqual(codes, [expected] * calls)
                self.assertLessEqual(peak, 3 * came)

    def test_what_nobody_reads_stays_small(self):
        for path in (REFLECTION, "/grpc.health.v1.Health/Watch"):
            calls = UnfinishedCalls(self.router.address, path, 8)
            end = time.monotonic() + 3
            while time.monotonic() < end:
                self.assertTrue(calls.turn())
                time.sleep(0.001)
            self.assertEqual(len(calls.left), 8)  # none was ended
            calls.connection.close()
            print(f"{path}: a call sends {calls.sent / 8 / 1024:.0f} KiB that nobody reads", flush=True)
            self.assertGreater(calls.sent, 8 * (10 << 10))
            self.assertLessEqual(calls.sent, 8 * (100 << 10))

    def check_messages_without_end(self, name, most, **how):
        router = Router()
        before, served = router.memory("VmRSS"), 0
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            attack = pool.submit(send_unfinished, router.address, threading.Event(), most=most, **how)
            while not attack.done():
                router.models.Tokenize(model_pb2.TokenizeRequest(text="hello"), timeout=10)
                served += 1
            sent = attack.result()
        peak = router.memory("VmHWM") - before
        print(f"messages without end, {name}: {sent / MIB:.0f} MiB came, {peak / MIB:.0f} MiB at most; others' {served} "
              "calls were served", flush=True)
        self.assertIn("messages that are not complete", read(router.process.log_path))
        router.close()
        self.assertGreater(served, 10)
        return peak

    def test_messages_that_never_end_take_a_bounded_part_and_hold_up_nobody(self):
        peak = self.check_messages_without_end("eight connections", 4096 * MIB)
        self.assertLessEqual(peak, 2 * 256 * MIB)  # the bound is 256 MiB at most
        peak = self.check_messages_without_end("one after the other", 4096 * MIB, stop_at=200 * MIB)
        self.assertLessEqual(peak, 3 * 256 * MIB)

    def test_nothing_is_decompressed(self):
        before = self.router.memory("VmHWM")
        for path in ("/grpc.health.v1.Health/Check", "/kedge.inference.v1.ModelService/Tokenize"):
            call = self.router.channel.unary_unary(path)
            with self.assertRaises(grpc.RpcError) as refused:
                call(b"\n\xff\xff\xff\x7f" + bytes(300 * MIB), compression=grpc.Compression.Gzip, timeout=60)
            self.assertEqual(refused.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
        self.assertLessEqual(self.router.memory("VmHWM"), before + SLACK)

    def test_cancelled_work_holds_up_nobody(self):
        # Some too long, which are refused, and some not.
        texts = ["A few words. " * (15 * MIB // 13)] * 8 + ["A few words. " * (MIB // 14)] * 32
        calls = [self.router.models.Tokenize.future(model_pb2.TokenizeRequest(text=text)) for text in texts]
        time.sleep(0.3)
        for call in calls:
            call.cancel()
        waits = []
        for _ in range(10):
            begin = time.monotonic()
            self.router.models.Tokenize(model_pb2.TokenizeRequest(text="hello"), timeout=60)
            waits.append(time.monotonic() - begin)
        print("a small Tokenize behind 8 cancelled ones took, ms: ", *(f"{1000 * wait:.1f}" for wait in waits))
        self.assertLessEqual(max(waits), 0.05)
        self.assertIn("listening", read(self.router.process.log_path))


if __name__ == "__main__":
    unittest.main()
