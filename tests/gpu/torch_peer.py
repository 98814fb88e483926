"""What torch takes for a step's products in bf16 and its attention (SDPA), in the shapes of `gpu_check speed`: a peer to
stand beside. Lines of JSON as probe.h writes them. Says so where there is no torch or no GPU for it.

torch_peer.py 8B|0.5B
"""

import json
import sys

SHAPES = {  # layers, hidden, heads, kv heads, head dim, ffn, vocabulary
    "8B": (32, 4096, 32, 8, 128, 14336, 128256),
    "0.5B": (24, 896, 14, 2, 64, 4864, 151936),
}
VISIBLE, PROMPT = 512, 4096
MADE_LAYERS = 4  # more than fit into a cache, together


def report(shape, what, value, unit, note):
    print(json.dumps({"part": f"torch-{shape}", "what": what, "value": value, "unit": unit, "note": note}), flush=True)


def median_ms(torch, work, runs=9):
    times = []
    for run in range(runs + 2):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        if run >= 2:
            times.append(begin.elapsed_time(end))
    return sorted(times)[runs // 2]


def measure(torch, shape):
    layers, hidden, heads, kv_heads, dim, ffn, vocab = SHAPES[shape]
    options = {"dtype": torch.bfloat16, "device": "cuda"}

    def weights(outputs, inputs):
        return torch.randn(outputs, inputs, **options) / inputs**0.5

    def layer():
        return [weights((heads + 2 * kv_heads) * dim, hidden), weights(hidden, heads * dim), weights(2 * ffn, hidden),
                weights(hidden, ffn)]

    made, head = [layer() for _ in range(MADE_LAYERS)], weights(vocab, hidden)

    def products(rows):
        inputs = {size: torch.randn(rows, size, **options) for size in (hidden, heads * dim, ffn)}
        matrices = [matrix for part in made for matrix in part]
        return median_ms(torch, lambda: [inputs[m.shape[1]] @ m.T for m in matrices]) * layers / MADE_LAYERS

    def attention(batch, queries, rows):
        q = torch.randn(batch, heads, queries, dim, **options)
        k, v = (torch.randn(batch, kv_heads, rows, dim, **options) for _ in range(2))
        attend = torch.nn.functional.scaled_dot_product_attention
        causal = queries > 1
        return median_ms(torch, lambda: attend(q, k, v, is_causal=causal, enable_gqa=True)) * layers

    for batch in (1, 32, 256):
        x = torch.randn(batch, hidden, **options)
        multiplied = products(batch) + median_ms(torch, lambda: x @ head.T)
        attended = attention(batch, 1, VISIBLE)
        report(shape, f"step, batch {batch}", multiplied + attended, "ms",
               f"bf16 products {multiplied:.3f} ms, SDPA over {VISIBLE} rows {attended:.3f} ms, nothing else of a step")
    multiplied, attended = products(PROMPT), attention(1, PROMPT, PROMPT)
    report(shape, f"prompt of {PROMPT}", multiplied + attended, "ms",
           f"bf16 products {multiplied:.1f} ms, causal SDPA {attended:.1f} ms, nothing else")


def main():
    shape = sys.argv[1]
    try:
        import torch
    except ImportError:
        report(shape, "torch", None, "", "not installed")
        return
    if not torch.cuda.is_available():
        report(shape, "torch", None, "", "sees no GPU")
        return
    with torch.no_grad():
        measure(torch, shape)


if __name__ == "__main__":
    main()
