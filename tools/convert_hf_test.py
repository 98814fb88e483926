#!/usr/bin/env python3
"""Folders as published models have them are converted, and what Kedge then computes is compared with transformers.

The main claim: log probabilities by `kedge score --path steps`, which really deletes rows, equal those of transformers
with the whole cache and the dense mask of the paper (Eq. 4), at the original positions.
"""
import json
import math
import os
import pickle
import random
import shutil
import subprocess
import tempfile
import unittest

import gguf
import numpy as np
import sentencepiece
import torch
import transformers
from gguf.quants import dequantize
from tokenizers import Regex, pre_tokenizers

import convert_hf
import hf_folders
from hf_weights import FolderError

TMP = os.environ.get("TEST_TMPDIR") or tempfile.mkdtemp()
KEDGE = os.path.abspath("cli/kedge")
ENVIRONMENT = {**os.environ, "HOME": TMP, "XDG_CACHE_HOME": os.path.join(TMP, "cache")}

SMOLLM = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
QWEN2 = [pre_tokenizers.Split(Regex(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"),
    "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]


def anchor_mask(ids, anchors):
    """Eq. 4 as [1, 1, rows, columns], 0 or -inf: a row sees its own sequence so far and, if it is no anchor, the anchors
    of earlier sequences. An anchor belongs to the sequence that it closes."""
    size = len(ids)
    is_anchor = [token_id in anchors for token_id in ids]
    sequence = np.cumsum([0] + is_anchor[:-1])
    mask = torch.full((size, size), -math.inf)
    for i in range(size):
        for j in range(i + 1):
            if sequence[j] == sequence[i] or (is_anchor[j] and not is_anchor[i]):
                mask[i, j] = 0
    return mask[None, None]


def logprobs(model, ids, mask=None):
    """Of ids[1:]; [tokens - 1]."""
    with torch.no_grad():
        logits = model(torch.tensor([ids]), attention_mask=mask, position_ids=torch.arange(len(ids))[None]).logits[0]
    chosen = torch.log_softmax(logits.double(), -1)[range(len(ids) - 1), ids[1:]]
    return chosen.tolist()


def score(path, *arguments):
    run = subprocess.run([KEDGE, "score", "--model", path, "--kv-type", "f32", "--format", "json", *arguments],
                         capture_output=True, text=True, timeout=120, env=ENVIRONMENT)
    if run.returncode != 0:
        raise AssertionError(run.stderr)
    return json.loads(run.stdout)


def score_ids(path, ids, *arguments):
    return score(path, "--tokens", ",".join(map(str, ids)), *arguments)


def field(reader, key):
    found = reader.get_field(key)
    return None if found is None else found.contents()


def tensor(reader, name):
    found = next(tensor for tensor in reader.tensors if tensor.name == name)
    return dequantize(found.data, found.tensor_type)


def random_ids(seed, size, below, anchors):
    """Ids with an anchor about every eighth place, two of them side by side, and an open sequence at the end."""
    draw = random.Random(seed)
    ids = [draw.choice(anchors) if draw.random() < 0.12 else draw.randrange(3, below) for _ in range(size)]
    ids[size // 2] = ids[size // 2 + 1] = anchors[0]
    ids[-3:] = [5, 6, 7]
    return ids


class ConvertTest(unittest.TestCase):
    def setUp(self):
        self.folder = os.path.join(TMP, self.id(), "folder")
        os.makedirs(os.path.dirname(self.folder))
        self.out = os.path.join(TMP, self.id(), "out.gguf")
        self.addCleanup(shutil.rmtree, os.path.dirname(self.folder))

    def convert(self, **kwargs):
        convert_hf.convert(self.folder, self.out, **kwargs)
        return gguf.GGUFReader(self.out)

    def assert_near(self, ours, theirs, bound=2e-4):
        self.assertEqual(len(ours), len(theirs))
        self.assertLess(max(abs(a - b) for a, b in zip(ours, theirs)), bound)

    def assert_deleting_equals_dense_mask(self, model, ids, policy, anchors):
        dense = logprobs(model, ids, anchor_mask(ids, anchors))
        # The mask matters: a test that could not see it would pass with any.
        self.assertGreater(max(abs(a - b) for a, b in zip(dense, logprobs(model, ids))), 0.5)
        for backend in ("cpu", "reference"):
            steps = score_ids(self.out, ids, "--policy", policy, "--path", "steps", "--backend", backend)
            self.assert_near(steps["logprobs"], dense)
        last = max(i for i, token_id in enumerate(ids) if token_id in anchors)
        self.assertEqual(steps["kept_rows"], sum(token_id in anchors for token_id in ids) + len(ids) - 1 - last)
        self.assert_near(score_ids(self.out, ids, "--policy", "full")["logprobs"], logprobs(model, ids))

    def assert_text_is_scored_as(self, text, ids, policy):
        path = os.path.join(os.path.dirname(self.out), "text.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.assertEqual(score(self.out, "--policy", policy, "--text-file", path),
                         score_ids(self.out, [1] + ids, "--policy", policy))  # 1: all these vocabularies add it

    def sentencepiece(self):
        return sentencepiece.SentencePieceProcessor(model_file=os.path.join(self.folder, "tokenizer.model"))

    def test_anllm_ep(self):
        model = hf_folders.write_anllm(self.folder, {"[PAD]": 32000}, seed=1)
        reader = self.convert(type_name="f32", policy_spec="anllm-ep")
        self.assertEqual(field(reader, "kedge.anchor.policy"), "anchors=29889")
        self.assertEqual(field(reader, "tokenizer.ggml.model"), "llama")
        tokens, types = field(reader, "tokenizer.ggml.tokens"), field(reader, "tokenizer.ggml.token_type")
        self.assertEqual(len(tokens), 32001)
        self.assertEqual(len(field(reader, "tokenizer.ggml.scores")), 32001)
        self.assertEqual(tokens[:4], ["<unk>", "<s>", "</s>", "<0x00>"])
        self.assertEqual(types[:4], [2, 3, 3, 6])
        self.assertEqual((tokens[29889], types[29889]), (".", 1))
        self.assertEqual((tokens[32000], types[32000]), ("[PAD]", 3))
        for key, value in (("bos_token_id", 1), ("eos_token_id", 2), ("padding_token_id", 32000), ("unknown_token_id", 0),
                           ("add_bos_token", True), ("add_eos_token", False), ("add_space_prefix", True)):
            self.assertEqual(field(reader, f"tokenizer.ggml.{key}"), value, key)
        for key, value in (("context_length", 4096), ("block_count", 2), ("embedding_length", 64),
                           ("feed_forward_length", 96), ("attention.head_count", 4), ("attention.head_count_kv", 4),
                           ("rope.freq_base", 10000.0), ("rope.dimension_count", 16)):
            self.assertEqual(field(reader, f"llama.{key}"), value, key)
        self.assertIsNone(field(reader, "tokenizer.chat_template"))
        for anchors, policy in (([29889], "anllm-ep"), ([29889, 300], "anchors=300+29889")):
            self.assert_deleting_equals_dense_mask(model, random_ids(2, 120, 400, anchors), policy, anchors)
        text = " ".join(hf_folders.TEXT) + "\n\n\u00fcber 3.14"  # some of it in bytes
        self.assert_text_is_scored_as(text, self.sentencepiece().EncodeAsIds(text), "anllm-ep")

    def test_anllm_ac(self):
        model = hf_folders.write_anllm(self.folder, {"<AC>": 32001, "[PAD]": 32000}, seed=3)
        reader = self.convert(type_name="f32")
        self.assertEqual(field(reader, "kedge.anchor.policy"), "anchors=32001,insert=32001")
        tokens, types = field(reader, "tokenizer.ggml.tokens"), field(reader, "tokenizer.ggml.token_type")
        self.assertEqual((len(tokens), tokens[32001], types[32001]), (32002, "<AC>", 4))
        ids = random_ids(4, 120, 400, [32001])
        self.assert_deleting_equals_dense_mask(model, ids, "anllm-ac", [32001])
        # As the slow tokenizer of the published models has it: no white space beside an added token, and each stretch
        # between two of them encoded as a text of its own.
        sentences = ["An anchor is a device.", "It keeps a ship in its place!", "Does it hold, e.g. here?"]
        encoded = [self.sentencepiece().EncodeAsIds(sentence) for sentence in sentences]
        self.assert_text_is_scored_as("{}  {}\n\n{}".format(*sentences),
                                      encoded[0] + [32001] + encoded[1] + [32001] + encoded[2], "anllm-ac")

    def test_sharded_safetensors_with_grouped_heads_and_stretched_rope(self):
        config = transformers.LlamaConfig(
            hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
            head_dim=32, max_position_embeddings=2048, tie_word_embeddings=True, attn_implementation="eager",
            rope_parameters={"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
                             "high_freq_factor": 4.0, "original_max_position_embeddings": 64})
        model, tokenizer = hf_folders.write_byte_level(self.folder, config, transformers.LlamaForCausalLM, SMOLLM, seed=5,
                                                       max_shard_size="100KB")
        self.assertGreater(sum(name.endswith(".safetensors") for name in os.listdir(self.folder)), 1)
        reader = self.convert(policy_spec="window,recent=32")
        self.assertEqual(field(reader, "kedge.anchor.policy"), "window,recent=32")
        self.assertEqual(field(reader, "tokenizer.ggml.pre"), "smollm")
        self.assertEqual(field(reader, "tokenizer.ggml.bos_token_id"), 1)
        self.assertEqual(field(reader, "tokenizer.ggml.eos_token_id"), 2)
        self.assertEqual(field(reader, "tokenizer.ggml.eot_token_id"), 0)
        self.assertTrue(field(reader, "tokenizer.ggml.add_bos_token"))
        self.assertEqual(field(reader, "tokenizer.chat_template"), "{{ messages }}")
        vocabulary = field(reader, "tokenizer.ggml.tokens")
        types = field(reader, "tokenizer.ggml.token_type")
        for token_id in range(tokenizer.get_vocab_size()):
            self.assertEqual(vocabulary[token_id], tokenizer.id_to_token(token_id))
        self.assertEqual(types[:4], [3, 3, 3, 1])
        self.assertEqual(types[-7:], [5] * 7)
        self.assertNotIn("output.weight", [tensor.name for tensor in reader.tensors])
        self.assertLess(tensor(reader, "rope_freqs.weight")[0], 1.001)
        self.assertAlmostEqual(tensor(reader, "rope_freqs.weight")[-1], 8, places=4)

        ids = random_ids(6, 150, 350, [40, 41])
        self.assert_deleting_equals_dense_mask(model, ids, "anchors=40+41", [40, 41])
        text = hf_folders.TEXT[2] + "\n\n 1234 5"
        self.assert_text_is_scored_as(text, tokenizer.encode(text, add_special_tokens=False).ids, "full")

    def test_qwen2(self):
        config = transformers.Qwen2Config(hidden_size=64, intermediate_size=96, num_hidden_layers=2,
                                          num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False,
                                          attn_implementation="eager")
        model, _ = hf_folders.write_byte_level(self.folder, config, transformers.Qwen2ForCausalLM, QWEN2, seed=7)
        reader = self.convert()
        self.assertEqual(field(reader, "general.architecture"), "qwen2")
        self.assertEqual(field(reader, "tokenizer.ggml.pre"), "qwen2")
        source = model.state_dict()
        for name, theirs in (("attn_q.weight", "q_proj.weight"), ("attn_k.bias", "k_proj.bias")):
            np.testing.assert_array_equal(tensor(reader, f"blk.1.{name}"), source[f"model.layers.1.self_attn.{theirs}"])
        self.assert_deleting_equals_dense_mask(model, random_ids(8, 150, 350, [40, 41]), "anchors=40+41", [40, 41])

    def test_qwen3_with_yarn(self):
        rope = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64,
                "beta_fast": 16.0, "attention_factor": 1.3}
        config = transformers.Qwen3Config(hidden_size=64, intermediate_size=96, num_hidden_layers=2,
                                          num_attention_heads=4, num_key_value_heads=2, head_dim=24,
                                          max_position_embeddings=64, tie_word_embeddings=True, rope_parameters=rope,
                                          attn_implementation="eager")
        model, _ = hf_folders.write_byte_level(self.folder, config, transformers.Qwen3ForCausalLM, QWEN2, seed=12)
        self.change("tokenizer_config.json", chat_template="{{ old }}", added_tokens_decoder={
            "40": {"content": "<think>", "special": False}, "41": {"content": "<|x|>", "special": True}})
        with open(os.path.join(self.folder, "chat_template.jinja"), "w", encoding="utf-8") as file:
            file.write("{%- for m in messages %}{{ m.content }}{% endfor %}")
        tokenizer = os.path.join(self.folder, "tokenizer.json")
        with open(tokenizer, encoding="utf-8") as file:
            values = json.load(file)
        names = {token_id: name for name, token_id in values["model"]["vocab"].items()}
        for token_id, name in ((40, "<think>"), (41, "<|x|>")):  # in the place of others, which the merges do not make
            values["model"]["vocab"][name] = values["model"]["vocab"].pop(names[token_id])
        with open(tokenizer, "w", encoding="utf-8") as file:
            json.dump(values, file)

        reader = self.convert()
        self.assertEqual(field(reader, "general.architecture"), "qwen3")
        self.assertEqual(field(reader, "qwen3.context_length"), 256)  # what the scaling is for
        self.assertEqual(field(reader, "qwen3.attention.key_length"), 24)
        for key, value in (("type", "yarn"), ("factor", 4.0), ("original_context_length", 64), ("yarn_beta_fast", 16.0),
                           ("yarn_beta_slow", 1.0)):
            self.assertEqual(field(reader, f"qwen3.rope.scaling.{key}"), value, key)
        self.assertAlmostEqual(field(reader, "qwen3.rope.scaling.attn_factor"), 1.3 / (1 + 0.1 * math.log(4)), places=6)
        self.assertEqual(field(reader, "tokenizer.chat_template"), "{%- for m in messages %}{{ m.content }}{% endfor %}")
        self.assertEqual(field(reader, "tokenizer.ggml.tokens")[40:42], ["<think>", "<|x|>"])
        self.assertEqual(field(reader, "tokenizer.ggml.token_type")[40:42], [4, 3])
        self.assertEqual(field(reader, "tokenizer.ggml.eos_token_id"), 2)
        self.assertEqual(field(reader, "tokenizer.ggml.eot_token_id"), 0)
        self.assert_deleting_equals_dense_mask(model, random_ids(13, 150, 350, [40, 41]), "anchors=40+41", [40, 41])

    def test_linear_scaling(self):
        config = transformers.LlamaConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=2,
                                          num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
                                          rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5},
                                          attn_implementation="eager")
        model, _ = hf_folders.write_byte_level(self.folder, config, transformers.LlamaForCausalLM, SMOLLM, seed=14)
        reader = self.convert()
        self.assertEqual(field(reader, "llama.rope.scaling.type"), "linear")
        self.assertEqual(field(reader, "llama.rope.scaling.factor"), 2.5)
        self.assert_deleting_equals_dense_mask(model, random_ids(15, 150, 350, [40, 41]), "anchors=40+41", [40, 41])

    def test_sharded_bin_and_every_type(self):
        hf_folders.write_anllm(self.folder, {"[PAD]": 32000}, seed=8)
        whole = os.path.join(self.folder, "pytorch_model.bin")
        source = torch.load(whole, weights_only=True)
        names = sorted(source)
        shards = {"pytorch_model-1.bin": names[::2], "pytorch_model-2.bin": names[1::2]}
        for file, members in shards.items():
            torch.save({name: source[name] for name in members}, os.path.join(self.folder, file),
                       _use_new_zipfile_serialization=file.endswith("1.bin"))  # the other as PyTorch before 1.6
        os.remove(whole)
        with open(whole + ".index.json", "w", encoding="utf-8") as file:
            json.dump({"weight_map": {name: shard for shard, members in shards.items() for name in members}}, file)

        down = source["model.layers.1.mlp.down_proj.weight"].float().numpy()
        norm = source["model.norm.weight"].float().numpy()
        # Row 1 of a head of 16 comes from its ninth row: the first of the second half.
        query = source["model.layers.1.self_attn.q_proj.weight"].float().numpy()
        # None: as in the folder, bf16, to the bit.
        for type_name, gguf_type, error in ((None, "BF16", 0), ("f32", "F32", 0), ("f16", "F16", 2 ** -11),
                                            ("q8_0", "Q8_0", 1 / 127)):
            reader = self.convert(type_name=type_name)
            self.assertIsNone(field(reader, "kedge.anchor.policy"))
            types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
            self.assertEqual(types["token_embd.weight"], gguf_type)
            self.assertEqual({types[name] for name in types if "norm" in name}, {"F32"})
            np.testing.assert_array_equal(tensor(reader, "output_norm.weight"), norm)
            bound = error * np.abs(down).max()
            self.assertLessEqual(np.abs(tensor(reader, "blk.1.ffn_down.weight") - down).max(), bound)
            self.assertLessEqual(np.abs(tensor(reader, "blk.1.attn_q.weight")[17] - query[24]).max(), 2 * bound)

    def refuse(self, *words, **kwargs):
        with self.assertRaises(FolderError) as raised:
            self.convert(**kwargs)
        for word in words:
            self.assertIn(word, str(raised.exception))
        self.assertEqual([name for name in os.listdir(os.path.dirname(self.out)) if name != "folder"], [])

    def change(self, file, **fields):
        path = os.path.join(self.folder, file)
        with open(path, encoding="utf-8") as old:
            values = {**json.load(old), **fields}
        with open(path, "w", encoding="utf-8") as new:
            json.dump(values, new)

    def test_what_would_change_the_result_is_refused(self):
        hf_folders.write_anllm(self.folder, {"[PAD]": 32000}, seed=9)
        for fields, words in (({"architectures": ["MixtralForCausalLM"]}, ["architectures", "Mixtral", "LlamaForCausalLM"]),
                              ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, ["rope_scaling", "dynamic", "llama3"]),
                              ({"rope_scaling": {"type": "yarn", "factor": -2.0}}, ["rope_scaling", "factor", "-2.0"]),
                              ({"rope_scaling": {"type": "yarn", "factor": 2.0, "truncate": False}},
                               ["rope_scaling", "truncate"]),
                              ({"layer_types": ["full_attention", "sliding_attention"]},
                               ["layer_types", "sliding_attention"]),
                              ({"rope_scaling": {"rope_type": "llama3", "factor": 8}}, ["rope_scaling", "low_freq_factor"]),
                              ({"attention_bias": True}, ["attention_bias", "True"]),
                              ({"hidden_act": "gelu"}, ["hidden_act", "gelu"]),
                              ({"hidden_size": None}, ["hidden_size", "None"]),
                              ({"num_key_value_heads": 3}, ["num_key_value_heads", "3"]),
                              ({"intermediate_size": 97}, ["mlp.gate_proj", "[96, 64]", "[97, 64]"]),
                              ({"num_hidden_layers": 3}, ["model.layers.2", "missing"]),
                              ({"num_hidden_layers": 1}, ["model.layers.1", "not part"])):
            with open(os.path.join(self.folder, "config.json"), encoding="utf-8") as file:
                before = file.read()
            self.change("config.json", **fields)
            with self.subTest(fields=fields):
                self.refuse("config.json" if words[0] in fields else self.folder, *words)
            with open(os.path.join(self.folder, "config.json"), "w", encoding="utf-8") as file:
                file.write(before)
        self.refuse("anllm-ac", "<AC>", policy_spec="anllm-ac")
        self.change("added_tokens.json", **{"<X>": 32001})
        self.refuse("32001", "<X>", "32001 rows")

    def test_values_that_a_type_can_not_hold_are_refused(self):
        hf_folders.write_anllm(self.folder, {"[PAD]": 32000}, seed=10)
        path = os.path.join(self.folder, "pytorch_model.bin")
        tensors = torch.load(path, weights_only=True)
        tensors["model.layers.0.mlp.up_proj.weight"][3, 3] = 1e6
        torch.save(tensors, path)
        self.refuse("mlp.up_proj", "f16", "bf16", type_name="f16")
        for name in ("gate_proj", "up_proj"):
            for layer in (0, 1):
                tensors[f"model.layers.{layer}.mlp.{name}.weight"] = torch.zeros(40, 64, dtype=torch.bfloat16)
                tensors[f"model.layers.{layer}.mlp.down_proj.weight"] = torch.zeros(64, 40, dtype=torch.bfloat16)
        torch.save(tensors, path)
        self.change("config.json", intermediate_size=40)
        self.refuse("mlp.down_proj", "40", "Q8_0", type_name="q8_0")

    def test_a_pickle_is_never_run(self):
        hf_folders.write_anllm(self.folder, {"[PAD]": 32000}, seed=11)
        trap = os.path.join(TMP, "trap")

        class Trap:
            def __reduce__(self):
                return os.mkdir, (trap,)

        path = os.path.join(self.folder, "pytorch_model.bin")
        torch.save({"model.norm.weight": Trap()}, path)
        self.refuse("pytorch_model.bin")
        with open(path, "wb") as file:
            pickle.dump(Trap(), file)
        self.refuse("pytorch_model.bin")
        with open(path, "wb") as file:
            file.write(b"damaged")
        self.refuse("pytorch_model.bin")
        os.remove(path)
        self.refuse("no weights")
        self.assertFalse(os.path.exists(trap))


if __name__ == "__main__":
    unittest.main(verbosity=2)
