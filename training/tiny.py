"""A random two-layer Llama, for tests."""

import torch

from model import Llama

VOCAB, WIDTH, HEADS, KV_HEADS, HIDDEN, LAYERS = 64, 32, 4, 2, 48, 2


def tensors(seed=0):
    """float32 tensors by GGUF name."""
    generator = torch.Generator().manual_seed(seed)
    kv = WIDTH * KV_HEADS // HEADS
    result = {"token_embd.weight": torch.randn(VOCAB, WIDTH, generator=generator),
              "output_norm.weight": torch.rand(WIDTH, generator=generator) + 0.5}
    shapes = {"attn_q": (WIDTH, WIDTH), "attn_k": (kv, WIDTH), "attn_v": (kv, WIDTH), "attn_output": (WIDTH, WIDTH),
              "ffn_gate": (HIDDEN, WIDTH), "ffn_up": (HIDDEN, WIDTH), "ffn_down": (WIDTH, HIDDEN)}
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            result[f"blk.{layer}.{name}.weight"] = torch.rand(WIDTH, generator=generator) + 0.5
        for name, shape in shapes.items():
            result[f"blk.{layer}.{name}.weight"] = torch.randn(shape, generator=generator) / shape[1] ** 0.5
    return result


def llama(rank=4, alpha=8.0, seed=0):
    return Llama(tensors(seed), heads=HEADS, kv_heads=KV_HEADS, epsilon=1e-5, rope_base=10000.0, rank=rank, alpha=alpha,
                 seed=seed)


def with_random_factors(rank=4, alpha=8.0, seed=1):
    """A tiny model whose adapter does something."""
    model = llama(rank, alpha)
    generator = torch.Generator().manual_seed(seed)
    model.set_factors([torch.randn(p.shape, generator=generator) * 0.2 for p in model.parameters()])
    return model
