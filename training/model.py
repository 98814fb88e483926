"""A Llama read from a GGUF file, with low-rank updates (LoRA) on every linear layer of its blocks.

The weights are frozen and live in float32. What a layer multiplies by is W + scale * B A, written out once per step
(`merge`), as a server does at load; gradients go to A and B alone and the product with the full weight's gradient is never
formed. Rows of q and k are as GGUF has them (rotary pairs are neighbours, 2i and 2i+1), so A and B fit its tensors as
they are.

Axis names: rows (texts of a batch), tokens, width, heads, kv_heads, head_dim, hidden, rank, vocab.
"""

import math

import gguf
import numpy as np
import torch
import torch.nn.functional as F

# Layers that read the same input are one product: their tensors' names in a block, stacked along the outputs.
GROUPS = {
    "qkv": ("attn_q", "attn_k", "attn_v"),
    "attn_output": ("attn_output",),
    "gate_up": ("ffn_gate", "ffn_up"),
    "ffn_down": ("ffn_down",),
}


class LowRankLinear(torch.autograd.Function):
    """y = x (W + scale B A)^T for a group of layers with one input."""

    @staticmethod
    def forward(ctx, x, merged, scale, a, *b):
        # x [n, in], merged [sum of outs, in], a [layers * rank, in], b: per layer [out, rank]
        ctx.save_for_backward(x, a, *b)
        ctx.merged, ctx.scale = merged, scale
        return x @ merged.T

    @staticmethod
    def backward(ctx, dy):
        x, a, *b = ctx.saved_tensors
        rank = b[0].shape[1]
        dys = dy.split([m.shape[0] for m in b], dim=1)
        u = (x @ a.T).mul_(ctx.scale)  # [n, layers * rank]
        du = torch.cat([d @ m for d, m in zip(dys, b)], dim=1).mul_(ctx.scale)
        da = du.T @ x
        db = [d.T @ part for d, part in zip(dys, u.split(rank, dim=1))]
        dx = dy @ ctx.merged if ctx.needs_input_grad[0] else None
        return (dx, None, None, da, *db)


class FrozenHeadLoss(torch.autograd.Function):
    """Per row -log p(target), in pieces: the logits of a whole batch (rows * vocab) never exist at once."""

    CHUNK = 256

    @staticmethod
    def forward(ctx, h, head, targets):
        # h [n, width], head [vocab, width], targets [n]; returns [n]
        want_grad = ctx.needs_input_grad[0]
        losses = torch.empty(h.shape[0])
        dh = torch.empty_like(h) if want_grad else None
        for begin in range(0, h.shape[0], FrozenHeadLoss.CHUNK):
            part = slice(begin, begin + FrozenHeadLoss.CHUNK)
            logits = h[part] @ head.T
            index = targets[part, None]
            logits -= logits.max(dim=1, keepdim=True).values
            at_target = logits.gather(1, index)
            logits.exp_()
            total = logits.sum(dim=1, keepdim=True)
            losses[part] = (total.log() - at_target)[:, 0]
            if want_grad:
                logits /= total
                logits.scatter_add_(1, index, torch.full_like(at_target, -1.0))
                torch.matmul(logits, head, out=dh[part])
        ctx.dh = dh
        return losses

    @staticmethod
    def backward(ctx, dlosses):
        return ctx.dh * dlosses[:, None], None, None


class RmsNorm(torch.autograd.Function):
    """x / rms(x) * weight by row, weight frozen: fewer passes over memory than the built-in one on a CPU."""

    @staticmethod
    def forward(ctx, x, weight, epsilon):
        # x [n, width], weight [width]
        inverse = torch.linalg.vector_norm(x, dim=1, keepdim=True).square_().div_(x.shape[1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, inverse)
        ctx.weight = weight
        return (x * inverse).mul_(weight)

    @staticmethod
    def backward(ctx, dy):
        x, inverse = ctx.saved_tensors
        d = dy * ctx.weight
        along = torch.linalg.vecdot(d, x, dim=1)[:, None] * inverse * inverse / x.shape[1]
        return d.sub_(x * along).mul_(inverse), None, None


class Gated(torch.autograd.Function):
    """silu(gate) * up for gate_up [n, 2 * hidden], of which only the input is remembered."""

    @staticmethod
    def forward(ctx, gate_up):
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx, dy):
        gate, up = ctx.saved_tensors[0].chunk(2, dim=1)
        d = torch.empty_like(ctx.saved_tensors[0])
        dgate, dup = d.chunk(2, dim=1)
        s = torch.sigmoid(gate)
        torch.mul(gate, s, out=dup)  # silu(gate)
        torch.addcmul(s, dup, 1 - s, out=dgate)  # its derivative
        dgate.mul_(up).mul_(dy)
        dup.mul_(dy)
        return d


class Group:
    """The layers of one block that read the same input: frozen weights, the merged weights, and the factors."""

    def __init__(self, names, weights, rank, generator):
        self.names = names
        self.outs = [weight.shape[0] for weight in weights]
        self.base = torch.cat(weights)  # [sum of outs, in]
        self.merged = self.base.clone()
        width = self.base.shape[1]
        # A random, B zero: the first step starts from the model as it is.
        a = torch.randn(len(names) * rank, width, generator=generator) / math.sqrt(width)
        self.a = a.requires_grad_()
        self.b = [torch.zeros(out, rank).requires_grad_() for out in self.outs]

    @torch.no_grad()
    def merge(self, scale):
        for name, a, b, base, merged in self.layers():
            torch.addmm(base, b, a, alpha=scale, out=merged)

    def layers(self):
        """Yields (name, a [rank, in], b [out, rank], base [out, in], merged [out, in]), views all of them."""
        rank = self.b[0].shape[1]
        parts = zip(self.names, self.a.split(rank), self.b, self.base.split(self.outs), self.merged.split(self.outs))
        yield from parts


class Llama:
    def __init__(self, tensors, heads, kv_heads, epsilon, rope_base, rank=16, alpha=32.0, seed=0):
        """tensors: float32 by GGUF name, matrices [out, in]. rank 0 is not allowed: an untouched model has B = 0."""
        generator = torch.Generator().manual_seed(seed)
        self.heads, self.kv_heads, self.epsilon, self.rope_base = heads, kv_heads, epsilon, rope_base
        self.rank, self.alpha, self.scale = rank, alpha, alpha / rank
        self.embedding = tensors["token_embd.weight"]  # [vocab, width]
        self.head = tensors.get("output.weight", self.embedding)  # [vocab, width]
        self.out_norm = tensors["output_norm.weight"]
        self.width = self.embedding.shape[1]
        self.head_dim = tensors["blk.0.attn_q.weight"].shape[0] // heads
        self.blocks = []
        while f"blk.{len(self.blocks)}.attn_q.weight" in tensors:
            prefix = f"blk.{len(self.blocks)}."
            block = {name: tensors[f"{prefix}{name}.weight"] for name in ("attn_norm", "ffn_norm")}
            for group, names in GROUPS.items():
                full = [f"{prefix}{name}.weight" for name in names]
                block[group] = Group(full, [tensors[name] for name in full], rank, generator)
            self.blocks.append(block)

    def groups(self):
        return [block[name] for block in self.blocks for name in GROUPS]

    def parameters(self):
        return [parameter for group in self.groups() for parameter in (group.a, *group.b)]

    @torch.no_grad()
    def set_factors(self, factors):
        """factors: tensors in the order of parameters(). Merges."""
        for parameter, factor in zip(self.parameters(), factors, strict=True):
            parameter.copy_(factor)
        self.merge()

    def merge(self):
        """To be called after the factors changed and before the next pass."""
        for group in self.groups():
            group.merge(self.scale)

    def rotations(self, begin, end):
        """Unit complex numbers [1, tokens, 1, head_dim / 2] for positions begin..end-1."""
        frequency = self.rope_base ** (-torch.arange(0, self.head_dim, 2, dtype=torch.float64) / self.head_dim)
        angle = torch.outer(torch.arange(begin, end, dtype=torch.float64), frequency)
        return torch.polar(torch.ones_like(angle), angle).to(torch.complex64)[None, :, None, :]

    def hidden(self, ids, mask, cache=None):
        """The normed states before the head, [rows * tokens, width].

        ids [rows, tokens]; mask: float [rows, 1, tokens, seen], 0 or -inf, None for causal. cache: a list with one [k, v]
        per block (empty at first) that this call reads and extends, one token a call once it holds some; positions go on
        where it ends.
        """
        rows, tokens = ids.shape
        past = cache[0][0].shape[2] if cache else 0
        rotations = self.rotations(past, past + tokens)
        new_cache = []
        x = F.embedding(ids, self.embedding).view(-1, self.width)
        for index, block in enumerate(self.blocks):
            h = self._norm(x, block["attn_norm"])
            q, k, v = self._linear(h, block["qkv"]).view(rows, tokens, -1, self.head_dim).split(
                [self.heads, self.kv_heads, self.kv_heads], dim=2)  # [rows, tokens, heads, head_dim]
            q, k = rotate(q, rotations).transpose(1, 2), rotate(k, rotations).transpose(1, 2)
            v = v.transpose(1, 2)
            if cache is not None:
                if past:
                    k, v = torch.cat([cache[index][0], k], dim=2), torch.cat([cache[index][1], v], dim=2)
                new_cache.append([k, v])
            h = attend(q, k, v, mask).transpose(1, 2).reshape(rows * tokens, -1)
            x = x + self._linear(h, block["attn_output"])
            gate_up = self._linear(self._norm(x, block["ffn_norm"]), block["gate_up"])
            x = x + self._linear(Gated.apply(gate_up), block["ffn_down"])
        if cache is not None:
            cache[:] = new_cache
        return self._norm(x, self.out_norm)

    def losses(self, ids, mask, first=1):
        """-log p of each token from index `first` on: ids [rows, tokens], mask as hidden() -> [rows, tokens - first]."""
        h = self.hidden(ids, mask).view(*ids.shape, self.width)[:, first - 1:-1].reshape(-1, self.width)
        return FrozenHeadLoss.apply(h, self.head, ids[:, first:].reshape(-1)).view(ids.shape[0], -1)

    def _norm(self, x, weight):
        return RmsNorm.apply(x, weight, self.epsilon)

    def _linear(self, x, group):
        return LowRankLinear.apply(x, group.merged, self.scale, group.a, *group.b)


def rotate(x, rotations):
    """x [rows, tokens, heads, head_dim], neighbours (2i, 2i+1) as one complex number."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotations).flatten(-2)


def attend(q, k, v, mask):
    """q [rows, heads, tokens, head_dim], k and v [rows, kv_heads, seen, head_dim]; mask as Llama.hidden()."""
    rows, heads, tokens, head_dim = q.shape
    kv_heads = k.shape[1]
    if mask is None and tokens == 1:
        # A single query after others sees everything, so the heads that share keys are as good as that many queries.
        q = q.reshape(rows, kv_heads, heads // kv_heads, head_dim)
        return F.scaled_dot_product_attention(q, k, v).reshape(rows, heads, 1, head_dim)
    k, v = (x.repeat_interleave(heads // kv_heads, dim=1) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)


class GgufModelFile:
    """Metadata and dequantized tensors of a GGUF file."""

    def __init__(self, path):
        self.path = path
        self._reader = gguf.GGUFReader(path)

    def metadata(self, key):
        field = self._reader.get_field(key)
        return None if field is None else field.contents()

    def tensors(self):
        return {tensor.name: torch.from_numpy(np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type)))
                for tensor in self._reader.tensors}

    def load(self, rank=16, alpha=32.0, seed=0):
        architecture = self.metadata("general.architecture")
        if architecture != "llama":
            raise ValueError(f"{self.path}: general.architecture is '{architecture}', only 'llama' can be trained")
        return Llama(self.tensors(), heads=self.metadata("llama.attention.head_count"),
                     kv_heads=self.metadata("llama.attention.head_count_kv"),
                     epsilon=self.metadata("llama.attention.layer_norm_rms_epsilon"),
                     rope_base=self.metadata("llama.rope.freq_base") or 10000.0, rank=rank, alpha=alpha, seed=seed)
