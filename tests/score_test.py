#!/usr/bin/env python3
"""`kedge score` and `kedge model inspect`, as a user calls them."""
import hashlib
import json
import os
import random
import subprocess
import unittest

from programs import ENVIRONMENT, TMP, TOOL, copy_programs, make_adapter, make_model

MODEL = os.path.join(TMP, "tiny.gguf")
ADAPTER = os.path.join(TMP, "adapter.gguf")
TOKENS = [random.Random(1).randrange(17, 350) for _ in range(150)]
POLICY = "anchors=40+41+42+43,longest=20,sinks=2,recent=8,view=all"


def tool(*arguments):
    return subprocess.run([TOOL, *arguments], capture_output=True, text=True, timeout=60, env=ENVIRONMENT)


def score(*arguments, tokens=TOKENS, policy=POLICY, model=MODEL):
    return tool("score", "--model", model, "--policy", policy, "--tokens", ",".join(map(str, tokens)), "--format", "json",
                *arguments)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class ScoreTest(unittest.TestCase):
    def result(self, *arguments, **kwargs):
        run = score(*arguments, **kwargs)
        self.assertEqual(run.returncode, 0, run.stderr)
        return json.loads(run.stdout)

    def test_three_paths_and_two_backends_agree_to_the_bit(self):
        whole = self.result()
        self.assertEqual(whole["tokens"], 150)
        self.assertEqual(len(whole["logprobs"]), 149)
        self.assertEqual(whole["segment_bytes"], 0)
        steps = self.result("--path", "steps", "--backend", "deferred", "--threads", "1")
        split = self.result("--path", "split", "--split", "77", "--chunk", "13")
        self.assertEqual(whole["logprobs"], steps["logprobs"])
        self.assertEqual(whole["logprobs"], split["logprobs"])
        for key in ("kept_rows", "full_bytes"):
            self.assertEqual(whole[key], steps[key])
            self.assertEqual(whole[key], split[key])
        self.assertGreater(split["segment_bytes"], 0)
        self.assertEqual(whole["logprobs"], self.result("--generated-from", "100")["logprobs"])

    def test_reference_is_near_and_kv_types_differ(self):
        cpu = self.result("--kv-type", "f32")["logprobs"]
        reference = self.result("--kv-type", "f32", "--backend", "reference")["logprobs"]
        self.assertLess(max(abs(a - b) for a, b in zip(cpu, reference)), 1e-4)
        self.assertNotEqual(cpu, self.result("--kv-type", "bf16")["logprobs"])

    def test_rows_in_8_bits_agree_on_all_paths_and_are_half_as_large(self):
        q8 = self.result("--kv-type", "q8", policy="full")
        for arguments in (("--path", "steps", "--backend", "deferred"), ("--path", "split", "--split", "77")):
            self.assertEqual(q8["logprobs"], self.result("--kv-type", "q8", *arguments, policy="full")["logprobs"])
        f16 = self.result("--kv-type", "f16", policy="full")
        self.assertLess(q8["full_bytes"], 0.6 * f16["full_bytes"])
        difference = [abs(a - b) for a, b in zip(q8["logprobs"], f16["logprobs"])]
        self.assertLess(sum(difference) / len(difference), 0.05)

    def test_full_bytes_and_kept_rows(self):
        full = self.result(policy="full")
        self.assertEqual(full["kept_rows"], 150)
        row = full["full_bytes"] // 150
        split = self.result("--path", "split", "--split", "100", policy="full")
        self.assertGreater(split["segment_bytes"], 100 * row)

    def test_a_reduced_prompt_ends_where_split_says_on_every_path(self):
        policy = "anchors=40+41+42+43,longest=20,keep=none,sinks=2,recent=8,view=all,prefill=full,salient=0.2,write=full"
        tokens = TOKENS + TOKENS
        paths = [self.result("--path", path, "--split", "250", tokens=tokens, policy=policy)
                 for path in ("whole", "steps", "split")]
        self.assertEqual(len(paths[0]["logprobs"]), 299)
        for other in paths[1:]:
            self.assertEqual(paths[0]["logprobs"], other["logprobs"])
            self.assertEqual(paths[0]["kept_ranges"], other["kept_ranges"])
        ranges = paths[0]["kept_ranges"]
        self.assertEqual(ranges[0][0], 0)
        self.assertEqual(ranges[-1][1], 250)
        kept = sum(end - begin for begin, end in ranges)
        self.assertLessEqual(kept, 2 + 100 + 20 + 20)  # sinks, the choice, its rows in the window, the window
        # Before the prompt's last token nothing is reduced, behind it something is.
        full = self.result("--split", "250", tokens=tokens, policy="full")
        self.assertEqual(paths[0]["logprobs"][:248], full["logprobs"][:248])
        self.assertNotEqual(paths[0]["logprobs"][249:], full["logprobs"][249:])
        # By default half of the tokens are the prompt; what moves is the state before its last one.
        split = self.result("--path", "split", tokens=tokens, policy=policy)
        self.assertEqual(split["split"], 150)
        self.assertEqual(split["kept_ranges"][-1][1], 150)
        self.assertGreater(split["segment_bytes"], 0)

    def test_the_summary_tells_the_loss_behind_the_split_as_well(self):
        run = tool("score", "--model", MODEL, "--policy", POLICY, "--tokens", ",".join(map(str, TOKENS)), "--split", "100")
        logprobs = self.result()["logprobs"]
        self.assertIn(f"loss           {-sum(logprobs) / 149:.4f} nats", run.stdout)
        self.assertIn(f"behind 100     {-sum(logprobs[99:]) / 50:.4f} nats", run.stdout)

    def test_bad_input_names_what_is_wrong(self):
        for arguments, kwargs, code, text in (
            ([], {"policy": "window,sinkz=3"}, 1, "sinkz"),
            ([], {"policy": "window,salient=0.1"}, 1, "salient"),
            (["--split", "100", "--generated-from", "90"], {"policy": "salient"}, 1, "--split is the prompt's end"),
            ([], {"tokens": [1, 99999]}, 1, "ids[1]: 99999"),
            ([], {"tokens": [20] * 600}, 1, "512"),
            (["--path", "split", "--split", "151"], {}, 1, "split"),
            (["--device", "0"], {}, 1, '--device: names a GPU, and the backend "cpu" computes on none'),
            (["--kv-type", "int8"], {}, 2, "kv-type"),
            (["--path", "sideways"], {}, 2, "sideways"),
            (["--chunk", "0"], {}, 2, "chunk"),
            ([], {"model": "/nowhere.gguf"}, 1, "/nowhere.gguf"),
        ):
            run = score(*arguments, **kwargs)
            self.assertEqual(run.returncode, code, (arguments, kwargs, run.stderr))
            self.assertIn(text, run.stderr)
        self.assertEqual(tool("score", "--model", MODEL, "--policy", "full").returncode, 2)
        self.assertEqual(tool("score", "--model", MODEL, "--policy", "full", "--tokens", "1,x").returncode, 2)

    def test_text_is_scored_as_its_tokens(self):
        path = os.path.join(TMP, "text.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write("!#!$%")
        byte = {character: 17 + ord(character) - ord("!") for character in "!#$%"}  # the tiny vocabulary
        command = ("score", "--model", MODEL, "--policy", POLICY, "--format", "json")
        text = tool(*command, "--text-file", path)
        self.assertEqual(text.returncode, 0, text.stderr)
        ids = tool(*command, "--tokens", ",".join(str(byte[character]) for character in "!#!$%"))
        self.assertEqual(json.loads(ids.stdout)["tokens"], 5)
        self.assertEqual(text.stdout, ids.stdout)
        with open(path, "wb") as file:
            file.write(b"\xff")
        text = tool(*command, "--text-file", path)
        self.assertEqual(text.returncode, 1)
        self.assertIn("UTF-8", text.stderr)
        self.assertEqual(tool(*command, "--text-file", path, "--tokens", "20").returncode, 2)

    def test_a_text_gets_the_anchors_that_the_policy_inserts(self):
        path = os.path.join(TMP, "sentences.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write("!.  #?\n$%.")
        byte = {character: 17 + ord(character) - ord("!") for character in "!#$%.?"}  # the tiny vocabulary
        command = ("score", "--model", MODEL, "--policy", "anchors=8,insert=8", "--format", "json")
        text = tool(*command, "--text-file", path)
        self.assertEqual(text.returncode, 0, text.stderr)
        ids = [byte[c] for c in "!."] + [8] + [byte[c] for c in "#?"] + [8] + [byte[c] for c in "$%."]
        self.assertEqual(text.stdout, tool(*command, "--tokens", ",".join(map(str, ids))).stdout)
        self.assertEqual(json.loads(text.stdout)["kept_rows"], 2 + 3)  # two anchors and the open sentence

    def test_damaged_model_files_are_errors(self):
        with open(MODEL, "rb") as file:
            data = file.read()
        path = os.path.join(TMP, "damaged.gguf")
        for size in (0, 3, 30, 5000, len(data) // 2, len(data) - 1):
            with open(path, "wb") as file:
                file.write(data[:size])
            run = score(model=path)
            self.assertEqual(run.returncode, 1, run.stderr)
            self.assertIn("damaged.gguf", run.stderr)

    def test_inspect_describes_the_model(self):
        run = tool("model", "inspect", MODEL, "--format", "json")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(json.loads(run.stdout)["context_length"], 512)

    def test_inspect_describes_an_adapter_alone_and_with_its_model(self):
        alone = json.loads(tool("model", "inspect", ADAPTER, "--format", "json").stdout)
        expected = {"adapter_type": "lora", "rank": 3, "alpha": 6, "changed_tensors": 6, "anchor_policy": POLICY,
                    "base_sha256": sha256(MODEL), "fingerprint": sha256(ADAPTER)}
        self.assertEqual({key: alone[key] for key in expected}, expected)
        model = json.loads(tool("model", "inspect", MODEL, "--format", "json").stdout)
        both = json.loads(tool("model", "inspect", MODEL, "--adapter", ADAPTER, "--format", "json").stdout)
        self.assertEqual(both["adapter"], alone)
        self.assertEqual(model["fingerprint"], sha256(MODEL))
        self.assertNotIn(both["fingerprint"], (model["fingerprint"], alone["fingerprint"]))
        self.assertEqual((model["anchor_policy"], both["anchor_policy"]), ("", POLICY))

    def test_an_adapter_changes_the_model_and_brings_its_policy(self):
        command = ("score", "--model", MODEL, "--format", "json", "--tokens", ",".join(map(str, TOKENS)))
        default = json.loads(tool(*command, "--adapter", ADAPTER).stdout)
        given = self.result("--adapter", ADAPTER)
        self.assertEqual(default, given)
        self.assertNotEqual(given["logprobs"], self.result()["logprobs"])
        self.assertNotEqual(given["logprobs"], self.result("--adapter", ADAPTER, policy="full")["logprobs"])
        split = self.result("--adapter", ADAPTER, "--path", "split", "--split", "77", "--threads", "1")
        self.assertEqual(given["logprobs"], split["logprobs"])
        built_in = json.loads(tool(*command).stdout)  # no policy anywhere
        self.assertEqual(built_in, self.result(policy="salient"))

    def test_what_is_no_adapter_for_this_model_is_refused_by_name(self):
        other = os.path.join(TMP, "other-base.gguf")
        make_model(other, "tiny", 2)
        damaged = os.path.join(TMP, "damaged-adapter.gguf")
        with open(ADAPTER, "rb") as file:
            data = file.read()
        with open(damaged, "wb") as file:
            file.write(data[:len(data) // 2])
        for model, adapter, text in ((MODEL, MODEL, "general.type"), (ADAPTER, None, "give it with --adapter"),
                                     (other, ADAPTER, "kedge.adapter.base"), (MODEL, damaged, "damaged-adapter.gguf"),
                                     (MODEL, "/nowhere.gguf", "/nowhere.gguf")):
            run = score(*(("--adapter", adapter) if adapter else ()), model=model)
            self.assertEqual(run.returncode, 1, run.stderr)
            self.assertIn(f": {'--adapter' if adapter else '--model'}: ", run.stderr)
            self.assertIn(text, run.stderr)


if __name__ == "__main__":
    copy_programs()
    make_model(MODEL, "tiny", 1)
    make_adapter(ADAPTER, 1, POLICY, sha256(MODEL))
    unittest.main(verbosity=2)
