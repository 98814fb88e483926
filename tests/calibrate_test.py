#!/usr/bin/env python3
"""`kedge calibrate`, and `kedge run` under a policy that needs it, on tiny models, whose heads mean nothing."""
import json
import os
import subprocess
import unittest

from programs import BIN, ENVIRONMENT, TMP, TOOL, copy_programs, make_adapter, make_model, read

STORED = os.path.join(ENVIRONMENT["XDG_CACHE_HOME"], "kedge", "salience")


def kedge(*arguments, **environment):
    return subprocess.run([TOOL, *arguments], capture_output=True, text=True, timeout=240,
                          env={**ENVIRONMENT, **environment})


def model(seed):
    path = os.path.join(TMP, f"tiny-{seed}.gguf")
    make_model(path, "tiny", seed)
    return path


def run(path, policy, **environment):
    return kedge("run", "--model", path, "--policy", policy, "--max-tokens", "4", "--prompt", "Say it. Now.",
                 **environment)


class CalibrateTest(unittest.TestCase):
    def test_heads_are_ranked_printed_and_stored(self):
        path = model(1)
        done = kedge("calibrate", "--model", path, "--format", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual(read(result["stored"]), result["heads"] + "\n")
        self.assertEqual(os.path.dirname(result["stored"]), STORED)
        self.assertGreater(result["prompts"], 3)
        for kind in ("pointers", "retrieval"):
            self.assertEqual(len({head["head"] for head in result[kind]}), 8)  # all: two layers of four
            ranks = [head["mean_reciprocal_rank"] for head in result[kind]]
            self.assertEqual(ranks, sorted(ranks, reverse=True))
            self.assertTrue(all(0 <= rank <= 1 for rank in ranks), ranks)
            best = [head["head"] for head in result[kind][:1 if kind == "pointers" else 4]]
            self.assertIn(f"{kind}={'+'.join(best)}", result["heads"])
        # The same again, with other threads and as text.
        text = kedge("calibrate", "--model", path, "--threads", "1")
        self.assertIn(f'kedge.salience.heads = "{result["heads"]}"', text.stdout)
        self.assertIn(result["stored"], text.stdout)

    def test_a_model_with_an_adapter_is_another_model(self):
        adapter = os.path.join(TMP, "adapter.gguf")
        make_adapter(adapter, 1)
        path = model(2)
        stored = {json.loads(kedge("calibrate", "--model", path, "--format", "json", *more).stdout)["stored"]
                  for more in ((), ("--adapter", adapter))}
        self.assertEqual(len(stored), 2)

    def test_run_calibrates_when_the_policy_chooses_and_only_once(self):
        path = model(3)
        self.assertNotIn("calibrating", run(path, "window").stderr)
        first = run(path, "salient")
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertIn("calibrating this model, once", first.stderr)
        self.assertIn("retrieval=", first.stderr)
        again = run(path, "salient")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertNotIn("calibrating", again.stderr)

    def test_what_cannot_be_stored_is_handed_to_the_nodes(self):
        path = model(4)
        cache = os.path.join(TMP, "full")
        os.makedirs(os.path.join(cache, "kedge"))
        with open(os.path.join(cache, "kedge", "salience"), "w", encoding="utf-8"):
            pass  # where the directory would be
        done = run(path, "salient", XDG_CACHE_HOME=cache)
        self.assertEqual(done.returncode, 0, done.stderr)
        failed = kedge("calibrate", "--model", path, "--format", "json", XDG_CACHE_HOME=cache)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("cannot write", failed.stderr)
        result = json.loads(failed.stdout)  # what took minutes is shown all the same
        self.assertEqual(result["stored"], "")
        self.assertIn(f"salience heads: {result['heads']}, for this time alone: they are not stored: cannot write", done.stderr)
        logs = os.path.join(cache, "kedge", "logs")
        (cluster,) = os.listdir(logs)
        for node in ("prefill-0", "decode-0"):
            self.assertNotIn("not calibrated", read(os.path.join(logs, cluster, f"{node}.log")))

    def test_nodes_take_heads_of_this_model_alone(self):
        for heads, what in (("retrieval=99.0", "99.0"), ("nonsense", "nonsense")):
            node = subprocess.run([os.path.join(BIN, "kedge-prefill"), "--model", model(5), "--salience-heads", heads],
                                  capture_output=True, text=True, timeout=60, env=ENVIRONMENT)
            self.assertEqual(node.returncode, 1)
            self.assertIn("--salience-heads: ", node.stderr)
            self.assertIn(what, node.stderr)

    def test_bad_input_names_what_is_wrong(self):
        self.assertIn("/nowhere.gguf", kedge("calibrate", "--model", "/nowhere.gguf").stderr)
        self.assertEqual(kedge("calibrate", "--threads", "-1").returncode, 2)


if __name__ == "__main__":
    copy_programs()
    unittest.main(verbosity=2)
