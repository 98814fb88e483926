import hashlib
import os
import tempfile
import unittest

import gguf
import numpy as np
import torch

import adapter
import tiny


class AdapterTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path, self.base = os.path.join(folder.name, "a.gguf"), os.path.join(folder.name, "base.gguf")
        with open(self.base, "wb") as file:
            file.write(b"base")

    def write(self, model, **kwargs):
        adapter.write(self.path, model, self.base, "anchors=sentence", "tiny", **kwargs)
        return gguf.GGUFReader(self.path)

    def test_layout_and_keys(self):
        reader = self.write(tiny.with_random_factors(rank=3, alpha=6.0))
        keys = {key: reader.get_field(key).contents() for key in (
            "general.type", "general.architecture", "adapter.type", "adapter.lora.alpha", "kedge.anchor.policy",
            "kedge.adapter.base", "general.license")}
        self.assertEqual(keys, {
            "general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora", "adapter.lora.alpha": 6.0,
            "kedge.anchor.policy": "anchors=sentence", "general.license": "apache-2.0",
            "kedge.adapter.base": hashlib.sha256(b"base").hexdigest()})
        tensors = {tensor.name: tensor for tensor in reader.tensors}
        self.assertEqual(len(tensors), 2 * 7 * tiny.LAYERS)
        # GGUF's order, innermost first: A [in, rank], B [rank, out].
        self.assertEqual(tensors["blk.1.ffn_down.weight.lora_a"].shape.tolist(), [tiny.HIDDEN, 3])
        self.assertEqual(tensors["blk.1.ffn_down.weight.lora_b"].shape.tolist(), [3, tiny.WIDTH])
        self.assertEqual(tensors["blk.0.attn_k.weight.lora_a"].tensor_type, gguf.GGMLQuantizationType.F16)

    def test_the_file_makes_the_same_model(self):
        trained, other = tiny.with_random_factors(), tiny.llama(seed=0)
        reader = self.write(trained, dtype=np.float32)
        tensors = {tensor.name: torch.from_numpy(np.array(tensor.data)) for tensor in reader.tensors}
        for group in trained.groups():
            for name, _, _, base, merged in group.layers():
                expected = base + 2.0 * tensors[name + ".lora_b"] @ tensors[name + ".lora_a"]
                self.assertLess((merged - expected).abs().max().item(), 1e-5, name)
        adapter.read(self.path, other, self.base)
        for mine, theirs in zip(trained.parameters(), other.parameters()):
            self.assertTrue(torch.equal(mine, theirs))

    def test_refuses_what_does_not_fit(self):
        self.write(tiny.with_random_factors())
        with self.assertRaisesRegex(ValueError, "rank 4"):
            adapter.read(self.path, tiny.llama(rank=2))
        with open(self.base, "ab") as file:
            file.write(b"!")
        with self.assertRaisesRegex(ValueError, "kedge.adapter.base"):
            adapter.read(self.path, tiny.llama(), self.base)


if __name__ == "__main__":
    unittest.main()
