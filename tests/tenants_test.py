#!/usr/bin/env python3
"""Cache domains in the real processes: who names another salt finds nothing, nor does time tell that it is there.

KEDGE_PAIRS says how many pairs of times are compared (200; the claim of 0.05 beside a half takes 10,000).
"""
import math
import os
import random
import time
import unittest

from programs import TMP, copy_programs, make_model
from running_cluster import Cluster, random_ids, request, stream, tool

MODEL = os.path.join(TMP, "tenants.gguf")  # slow enough for a prefix to be worth something
PAIRS = int(os.environ.get("KEDGE_PAIRS", "200"))
PROMPT = 300
TIMED_PROMPT = 150  # enough to be seen, and short enough for 10,000 pairs


def salted(ids, salt, **kwargs):
    message = request(ids, max_tokens=1, **kwargs)
    message.cache_options.cache_salt = salt
    return message


def area_under_curve(with_prefix, without):
    """The chance that a time with the prefix is shorter than one without."""
    times = sorted([(t, 0) for t in with_prefix] + [(t, 1) for t in without])
    ranks = sum(rank for rank, (_, kind) in enumerate(times, 1) if kind == 1)
    n = len(without)
    return (ranks - n * (n + 1) / 2) / (n * len(with_prefix))


class TenantsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.c = Cluster(model=MODEL, policy="salient")

    @classmethod
    def tearDownClass(cls):
        cls.c.close()

    def test_another_salt_finds_nothing_and_gives_the_same_answer(self):
        for seed, policy in enumerate(("salient", "window", "full")):
            ids = random_ids(PROMPT, seed)
            first, other, own = (self.c.stub.Generate(salted(ids, salt, policy=policy)) for salt in ("a", "b", "a"))
            self.assertEqual((other.usage.cached_tokens, other.usage.held_rows), (0, 0), policy)
            self.assertGreater(own.usage.cached_tokens, 0, policy)
            if policy == "salient":
                self.assertGreater(own.usage.held_rows, 0)
            self.assertEqual(list(other.completions), list(first.completions))
            self.assertEqual(list(own.completions), list(first.completions))

    def test_the_tool_says_a_salt(self):
        ids = ",".join(map(str, random_ids(PROMPT, 7)))
        for salt, cached in (("x", False), ("y", False), ("x", True)):
            result = tool("generate", "--router", self.c.address, "--tokens", ids, "--max-tokens", "1", "--cache-salt",
                          salt)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual("from a cache" in result.stderr, cached, result.stderr)
        result = tool("generate", "--router", self.c.address, "--tokens", ids, "--cache-salt", "s" * 257)
        self.assertIn("--cache-salt: has 257 bytes", result.stderr)

    def test_time_does_not_tell_what_another_one_asked(self):
        generator = random.Random(1)

        def seconds(ids, salt):
            start = time.perf_counter()
            stream(self.c, salted(ids, salt))
            return time.perf_counter() - start

        def compare(mine, pairs):
            times = ([], [])  # of prompts that "other" asked for just before, and of those that it did not
            for pair in range(pairs):
                asked, unasked = (random_ids(TIMED_PROMPT, generator.random()) for _ in range(2))
                for was_asked in generator.sample((True, False), 2):
                    seconds(asked if was_asked else random_ids(TIMED_PROMPT, generator.random()), "other")
                    times[0 if was_asked else 1].append(seconds(asked if was_asked else unasked, mine))
            return area_under_curve(*times)

        self.assertGreater(compare("other", 60), 0.9)  # what there is to be seen, without a salt of one's own
        area = compare("mine", PAIRS)
        print(f"area under the curve, {PAIRS} pairs: {area:.3f}")
        self.assertLess(abs(area - 0.5), max(0.05, 4 / math.sqrt(6 * PAIRS)))  # four standard errors


if __name__ == "__main__":
    copy_programs()
    make_model(MODEL, "medium", 1)
    unittest.main(verbosity=2)
