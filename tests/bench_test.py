#!/usr/bin/env python3
"""`kedge bench`, as a user calls it, on a tiny model: figures mean nothing, and that they are there is what counts."""
import json
import os
import subprocess
import unittest
import xml.etree.ElementTree

from programs import BIN, ENVIRONMENT, TMP, TOOL, copy_programs, make_model

MODEL = os.path.join(TMP, "tiny.gguf")
MEDIUM_MODEL = os.path.join(TMP, "medium.gguf")  # its tokens come one by one: those of the other several in a message


def bench(*arguments):
    return subprocess.run([TOOL, "bench", *arguments], capture_output=True, text=True, timeout=240, env=ENVIRONMENT)


class BenchTest(unittest.TestCase):
    def test_engine(self):
        run = bench("engine", "--model", MODEL, "--works", "prompt_60,decode_1_ctx60,decode_3_ctx20", "--policies",
                    "window,recent=16; full", "--repeat", "2", "--written", "4", "--threads", "1", "--sample",
                    "temperature=1,top_p=0.9", "--format", "json")
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        self.assertGreater(result["limits"]["read_bytes_per_s"], 0)
        rows = {(row["work"], row["policy"]): row for row in result["rows"]}
        self.assertEqual(set(rows), {(work, policy) for work in ("prompt_60", "decode_1_ctx60", "decode_3_ctx20")
                                     for policy in ("window,recent=16", "full")})
        for row in rows.values():
            self.assertEqual(len(row["runs"]), 2)
            self.assertGreater(row["tokens_per_s"], 0)
            self.assertGreater(row["share_of_limit"], 0)
            self.assertTrue(0 < row["share_idle"] < 1)
            self.assertGreater(row["share_of_full_cache"], 0)

    def test_engine_names_what_is_wrong(self):
        for arguments, text in ((["--works", "prompt_9000"], "512"), (["--works", "walk"], "walk"),
                                (["--policies", "windou"], "windou"), (["--sample", "heat=1"], "heat=1"),
                                (["--works", "decode_900_ctx1"], "256")):
            run = bench("engine", "--model", MODEL, "--threads", "1", *arguments)
            self.assertEqual(run.returncode, 1, run.stderr)
            self.assertIn(text, run.stderr)

    def test_chat_moves_less_and_says_the_same(self):
        run = bench("chat", "--model", MODEL, "--policy", "sinks=4,recent=90,prefill=full", "--threads", "1",
                    "--turns", "4", "--turn-tokens", "60", "--output-tokens", "8", "--format", "json")
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        self.assertTrue(result["equal"])
        self.assertEqual([turn["held_rows"] > 0 for turn in result["turns"]], [False, True, True, True])
        self.assertLess(result["moved"], result["without"])
        self.assertLessEqual(result["new_rows"] + result["held_rows"], result["kept_rows"])
        self.assertAlmostEqual(result["share"], result["moved"] / result["without"])

    def test_serve_with_a_cluster_of_its_own(self):
        picture = os.path.join(TMP, "load.svg")
        run = bench("serve", "--model", MEDIUM_MODEL, "--policy", "window,recent=16", "--threads", "1", "--requests", "6",
                    "--clients", "2", "--prompt-tokens", "80", "--output-tokens", "5", "--shared-part", "0.5",
                    "--shared-tokens", "40", "--format", "json", "--picture", picture)
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        self.assertEqual((result["sent"], result["answered"], result["errors"]), (6, 6, []))
        self.assertEqual(result["load"]["shared_part"], 0.5)
        for quantiles in ("ttft_ms", "itl_ms", "request_tokens_per_s"):
            self.assertGreater(result[quantiles]["p50"], 0)
        self.assertAlmostEqual(result["throughput"]["output_tokens_per_s"] * result["seconds"], 30)
        self.assertGreater(result["bytes"]["moved"], 0)
        self.assertLess(result["bytes"]["share"], 1)
        words = [element.text for element in
                 xml.etree.ElementTree.parse(picture).getroot().iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("First token of 6 answers: share within ms", words)
        self.assertIn("24 gaps between tokens: share within ms", words)

    def test_serve_in_an_open_loop_tells_text(self):
        run = bench("serve", "--model", MODEL, "--policy", "full", "--threads", "1", "--requests", "4", "--rate", "50",
                    "--prompt-tokens", "30", "--output-tokens", "3", "--ttft-limit", "60000", "--itl-limit", "60000")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("4 requests of 30 tokens, 3 written each; 50 requests/s\n", run.stdout)
        self.assertIn("100.0 % of all", run.stdout)

    def test_serve_says_what_does_not_fit(self):
        run = bench("serve", "--model", MODEL, "--policy", "full", "--threads", "1", "--prompt-tokens", "510")
        self.assertEqual(run.returncode, 1)
        self.assertIn("512", run.stderr)
        self.assertIn("UNAVAILABLE", bench("serve", "--model", MODEL, "--router", "127.0.0.1:1").stderr)

    def test_router(self):
        run = bench("router", "--model", MODEL, "--works", "1x50,4x100", "--seconds", "0.5", "--repeat", "2",
                    "--format", "json")
        self.assertEqual(run.returncode, 0, run.stderr)
        rows = json.loads(run.stdout)["rows"]
        self.assertEqual([row["work"] for row in rows], ["1x50", "4x100"])
        for row, rate in zip(rows, (50, 400)):
            for way in (row["direct"], row["relay"], row["router"]):
                self.assertGreater(way["p50_ms"], 0)
                self.assertGreaterEqual(way["p99_ms"], way["p50_ms"])
                self.assertLess(way["tokens_per_s"], 1.2 * rate)  # the pace was kept
                self.assertGreaterEqual(way["tokens_per_message"], 1)
            for way in (row["relay"], row["router"]):
                self.assertEqual(len(way["added_p50_runs_ms"]), 2)
                self.assertGreater(way["cpu_us_per_token"], 0)
                self.assertAlmostEqual(way["tokens_per_core_s"] * way["cpu_us_per_token"], 1e6, places=3)
            self.assertNotIn("cpu_us_per_token", row["direct"])

    def test_router_says_what_does_not_fit(self):
        run = bench("router", "--model", MODEL, "--works", "1x200", "--seconds", "3")
        self.assertEqual(run.returncode, 1)
        self.assertIn("512", run.stderr)

    def test_kernels(self):
        run = bench("kernels", "--filter", "MatMul/Q8_0/576x576/rows:8|RmsNorm/rows:1/", "--seconds", "0.01",
                    "--threads", "1", "--weights", "1", "--format", "json")
        self.assertEqual(run.returncode, 0, run.stderr)
        result = json.loads(run.stdout)
        self.assertIn("GB/s", result["context"]["plain read"])
        rows = {row["name"]: row for row in result["benchmarks"]}
        self.assertEqual(set(rows), {"MatMul/Q8_0/576x576/rows:8/manual_time", "RmsNorm/rows:1/manual_time"})
        self.assertGreater(rows["MatMul/Q8_0/576x576/rows:8/manual_time"]["multiply_%"], 0)
        self.assertGreater(rows["RmsNorm/rows:1/manual_time"]["read_%"], 0)
        self.assertEqual(bench("kernels", "--filter", "nothing", "--weights", "1").returncode, 1)


if __name__ == "__main__":
    copy_programs()
    subprocess.run(["cp", "bench/kedge-bench-kernels", BIN], check=True)
    make_model(MODEL, "tiny", 1)
    make_model(MEDIUM_MODEL, "medium", 3)
    unittest.main(verbosity=2)
