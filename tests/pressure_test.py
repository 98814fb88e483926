#!/usr/bin/env python3
"""More requests than the real processes can serve in time: who is refused hears so at once, and when to come again."""
import concurrent.futures
import os
import time
import unittest

import grpc

from programs import TMP, copy_programs, make_model
from running_cluster import NO_CACHE, Cluster, random_ids, request

MODEL = os.path.join(TMP, "pressure.gguf")  # slow enough to be kept busy
PROMPT, TOKENS, CLIENTS = 300, 16, 60


class PressureTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.c = Cluster(model=MODEL, policy="full", node_flags=NO_CACHE)

    @classmethod
    def tearDownClass(cls):
        cls.c.close()

    def ask(self, seed, timeout):
        begin = time.monotonic()
        try:
            self.c.stub.Generate(request(random_ids(PROMPT, seed), max_tokens=TOKENS), timeout=timeout)
            return time.monotonic() - begin, None
        except grpc.RpcError as error:
            return time.monotonic() - begin, error

    def test_who_would_be_late_hears_when_to_come_again(self):
        for seed in range(8):  # nodes measure their steps
            alone, error = self.ask(seed, 60)
            self.assertIsNone(error)
        timeout = max(8 * alone, 1)
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            results = list(pool.map(lambda seed: self.ask(seed, timeout), range(100, 100 + CLIENTS)))
        refused = [(took, error) for took, error in results
                   if error is not None and error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED]
        served = sum(error is None for _, error in results)
        print(f"alone {alone:.2f} s, deadline {timeout:.2f} s: {served} of {CLIENTS} served, {len(refused)} refused, "
              f"the middle one after {sorted(took for took, _ in refused)[len(refused) // 2]:.2f} s")
        self.assertGreater(served, 0)
        self.assertGreater(len(refused), CLIENTS // 4)
        for _, error in refused:
            trailers = dict(error.trailing_metadata())
            self.assertGreater(int(trailers["grpc-retry-pushback-ms"]), 0)
            status = trailers["grpc-status-details-bin"]
            self.assertIn(b"google.rpc.RetryInfo", status)
            self.assertIn(b"google.rpc.ErrorInfo", status)
            self.assertTrue(b"DEADLINE_TOO_SHORT" in status or b"QUEUE_FULL" in status, status)
        # And after that time there is room.
        wait = max(int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"]) for _, error in refused)
        time.sleep(min(wait / 1000, timeout) + timeout)
        self.assertIsNone(self.ask(7, 60)[1])
        self.assertEqual(self.c.reserved_rows(), 0)


if __name__ == "__main__":
    copy_programs()
    make_model(MODEL, "medium", 1)
    unittest.main(verbosity=2)
