import unittest

import torch
import torch.nn.functional as F

import policy
import tiny
from model import rotate


def plain_losses(weights, ids, bias):
    """The same model, one obvious operation after the other, on given matrices; ids [tokens], bias [tokens, tokens]."""
    def norm(x, weight):
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * weight

    def turn(x):  # [tokens, heads, head_dim]: each pair (2i, 2i+1) by its angle
        result = x.clone()
        dim = x.shape[-1]
        for t in range(x.shape[0]):
            for i in range(dim // 2):
                angle = torch.tensor(t * 10000.0 ** (-2 * i / dim))
                a, b = x[t, :, 2 * i], x[t, :, 2 * i + 1]
                result[t, :, 2 * i] = a * angle.cos() - b * angle.sin()
                result[t, :, 2 * i + 1] = a * angle.sin() + b * angle.cos()
        return result

    x = weights["token_embd.weight"][ids]
    tokens, dim = len(ids), tiny.WIDTH // tiny.HEADS
    for layer in range(tiny.LAYERS):
        w = lambda name: weights[f"blk.{layer}.{name}.weight"]
        h = norm(x, w("attn_norm"))
        q = turn((h @ w("attn_q").T).view(tokens, tiny.HEADS, dim))
        k = turn((h @ w("attn_k").T).view(tokens, tiny.KV_HEADS, dim))
        v = (h @ w("attn_v").T).view(tokens, tiny.KV_HEADS, dim)
        heads = []
        for head in range(tiny.HEADS):
            shared = head * tiny.KV_HEADS // tiny.HEADS
            scores = q[:, head] @ k[:, shared].T / dim ** 0.5 + bias
            heads.append(scores.softmax(-1) @ v[:, shared])
        x = x + torch.cat(heads, -1) @ w("attn_output").T
        h = norm(x, w("ffn_norm"))
        x = x + (F.silu(h @ w("ffn_gate").T) * (h @ w("ffn_up").T)) @ w("ffn_down").T
    logits = norm(x, weights["output_norm.weight"]) @ weights["token_embd.weight"].T
    return F.cross_entropy(logits[:-1], ids[1:], reduction="none")


def adapted_tensors(model):
    """The tensors with W + scale B A written out, gradients and all, and the factors they come from."""
    weights, leaves = tiny.tensors(), []
    for group in model.groups():
        a = group.a.detach().clone().requires_grad_()
        leaves.append(a)
        for name, part, b in zip(group.names, a.split(model.rank), group.b):
            leaves.append(b.detach().clone().requires_grad_())
            weights[name] = weights[name] + model.scale * leaves[-1] @ part
    return weights, leaves


class ModelTest(unittest.TestCase):
    def setUp(self):
        self.ids = torch.randint(0, tiny.VOCAB, (2, 20), generator=torch.Generator().manual_seed(3))
        self.policies = [policy.parse("anchors=7+8+9+10+11"), policy.parse("full")]
        self.bias = policy.attention_bias(self.ids, self.policies, [])

    def test_losses_and_gradients_are_those_of_the_plain_model(self):
        model = tiny.with_random_factors()
        weights, leaves = adapted_tensors(model)
        expected = torch.stack([plain_losses(weights, ids, bias[0]) for ids, bias in zip(self.ids, self.bias)])
        losses = model.losses(self.ids, self.bias)
        self.assertLess((losses - expected).abs().max().item(), 1e-4)
        weight = torch.rand(losses.shape)  # so that rows count differently
        (losses * weight).sum().backward()
        (expected * weight).sum().backward()
        for parameter, leaf in zip(model.parameters(), leaves, strict=True):
            self.assertLess((parameter.grad - leaf.grad).abs().max().item(), 1e-3 * max(1, leaf.grad.abs().max().item()))

    def test_first_scores_the_rest_alone(self):
        model = tiny.llama()
        whole, half = model.losses(self.ids, self.bias), model.losses(self.ids, self.bias, first=10)
        self.assertLess((whole[:, 9:] - half).abs().max().item(), 1e-5)

    def test_a_new_adapter_changes_nothing(self):
        model = tiny.llama()
        before = model.losses(self.ids, self.bias)
        model.merge()
        self.assertTrue(torch.equal(before, model.losses(self.ids, self.bias)))

    @torch.no_grad()
    def test_cache_goes_on_where_it_ends(self):
        model, cache = tiny.with_random_factors(), []
        whole = model.hidden(self.ids, None).view(2, 20, -1)
        parts = [model.hidden(self.ids[:, :12], None, cache).view(2, 12, -1)]
        parts += [model.hidden(self.ids[:, i:i + 1], None, cache).view(2, 1, -1) for i in range(12, 20)]
        self.assertLess((whole - torch.cat(parts, 1)).abs().max().item(), 1e-4)

    def test_rotate_turns_neighbours(self):
        quarter = torch.tensor([1j]).view(1, 1, 1, 1).expand(1, 1, 1, 2)
        turned = rotate(torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 4), quarter)
        self.assertEqual(turned.flatten().tolist(), [-2.0, 1.0, -4.0, 3.0])


if __name__ == "__main__":
    unittest.main()
