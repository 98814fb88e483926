#!/usr/bin/env python3
"""Ten times the requests that the real processes can serve: what is answered in time, and what the others hear."""
import os
import threading
import time
import unittest

import grpc

from programs import TMP, copy_programs, make_model
from running_cluster import NO_CACHE, Cluster, random_ids, request, wait_for

MODEL = os.path.join(TMP, "pressure.gguf")  # slow enough to be kept busy
PROMPT, TOKENS = 300, 16
LOAD, DEADLINE = 10, 5.0  # times the peak; seconds
SECONDS = float(os.environ.get("KEDGE_PRESSURE_SECONDS", "15"))  # of that load


class PressureTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.c = Cluster(model=MODEL, policy="full", kv_memory="256", node_flags=NO_CACHE)
        cls.seed = 0

    @classmethod
    def tearDownClass(cls):
        cls.c.close()

    def message(self):
        type(self).seed += 1
        return request(random_ids(PROMPT, self.seed), max_tokens=TOKENS)

    def peak(self, clients=8, seconds=5):
        """Answers a second to clients who ask again as soon as they have one, once nodes have measured their steps."""
        for _ in range(8):
            self.c.stub.Generate(self.message(), timeout=60)
        begin, answers = time.monotonic(), []

        def ask():
            while time.monotonic() < begin + seconds:
                self.c.stub.Generate(self.message(), timeout=60)
                answers.append(1)

        threads = [threading.Thread(target=ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(answers) / (time.monotonic() - begin)

    def test_who_would_be_late_hears_when_to_come_again_and_the_others_are_served(self):
        peak = self.peak()
        rate = LOAD * peak
        messages = [self.message() for _ in range(int(rate * SECONDS))]
        results, calls = [], []

        def note(begin):
            return lambda call: results.append((begin, time.monotonic(), call))

        start = time.monotonic()
        for i, message in enumerate(messages):
            time.sleep(max(0, start + i / rate - time.monotonic()))
            call = self.c.stub.Generate.future(message, timeout=DEADLINE)
            call.add_done_callback(note(time.monotonic()))
            calls.append(call)
        end = time.monotonic()
        for call in calls:
            call.code()
        while len(results) < len(calls):
            time.sleep(0.01)

        # Once the first of those who came under load are due, and before the load ends.
        served = sum(call.code() == grpc.StatusCode.OK and start + DEADLINE <= at <= end for _, at, call in results)
        goodput = served / (end - start - DEADLINE)
        late = sum(call.code() == grpc.StatusCode.DEADLINE_EXCEEDED for _, _, call in results)
        refused = [(at - begin, call) for begin, at, call in results
                   if call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED]
        self.assertTrue(refused)
        took = sorted(took for took, _ in refused)
        middle, slow = took[len(took) // 2], took[len(took) * 99 // 100]
        print(f"offered {LOAD} times the peak, deadline {DEADLINE:.0f} s: {goodput / peak:.2f} of the peak answered in "
              f"time; of {len(results)} requests {len(refused)} refused, half of them within {middle * 1000:.1f} ms, "
              f"99 of 100 within {slow * 1000:.0f} ms, {late} late")
        # Without admission by time 0.03. The goal is 0.9; a machine that does something else besides gets less.
        self.assertGreater(goodput, 0.4 * peak)
        self.assertLess(late, len(refused) / 4)
        self.assertLess(middle, 0.05)  # a step takes three times as long
        for _, call in refused:
            trailers = dict(call.trailing_metadata())
            self.assertGreater(int(trailers["grpc-retry-pushback-ms"]), 0)
            status = trailers["grpc-status-details-bin"]
            self.assertIn(b"google.rpc.RetryInfo", status)
            self.assertIn(b"google.rpc.ErrorInfo", status)
            self.assertTrue(b"DEADLINE_TOO_SHORT" in status or b"QUEUE_FULL" in status, status)
        # And after that time there is room.
        self.c.stub.Generate(self.message(), timeout=60)
        wait_for(lambda: self.c.reserved_rows() == 0, "all rows are free")


if __name__ == "__main__":
    copy_programs()
    make_model(MODEL, "medium", 1)
    unittest.main(verbosity=2)
