#!/usr/bin/env python3
"""Makes common/model/testdata/tiny_qwen2_logprobs.json: log probabilities of the tests' tiny qwen2 model by Hugging
Face's transformers. From the repository's root:

    python3 -m venv /tmp/v && /tmp/v/bin/pip install torch transformers gguf==0.19.0
    bazel build //tests:make_tiny_model && bazel-bin/tests/make_tiny_model /tmp/tiny_qwen2.gguf qwen2 1
    /tmp/v/bin/python tools/make_qwen2_vectors.py /tmp/tiny_qwen2.gguf
"""
import json
import pathlib
import sys

import gguf
import torch
import transformers

OUT = pathlib.Path("common/model/testdata/tiny_qwen2_logprobs.json")
NAMES = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_q.bias": "self_attn.q_proj.bias",
    "attn_k.bias": "self_attn.k_proj.bias",
    "attn_v.bias": "self_attn.v_proj.bias",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
TOP_NAMES = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
             "output.weight": "lm_head.weight"}


def target_name(name):
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    _, layer, rest = name.split(".", 2)
    return f"model.layers.{layer}.{NAMES[rest]}"


def main():
    reader = gguf.GGUFReader(sys.argv[1])

    def value(key):
        return reader.fields["qwen2." + key].contents()

    weights = {target_name(t.name): torch.tensor(t.data.copy()) for t in reader.tensors}
    config = transformers.Qwen2Config(
        vocab_size=weights["model.embed_tokens.weight"].shape[0], hidden_size=value("embedding_length"),
        intermediate_size=value("feed_forward_length"), num_hidden_layers=value("block_count"),
        num_attention_heads=value("attention.head_count"), num_key_value_heads=value("attention.head_count_kv"),
        head_dim=value("attention.key_length"), rms_norm_eps=value("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": value("rope.freq_base")}, tie_word_embeddings=False,
        max_position_embeddings=value("context_length"), attn_implementation="eager")
    model = transformers.Qwen2ForCausalLM(config).float().eval()
    missing = model.load_state_dict(weights, strict=True)
    assert not missing.missing_keys and not missing.unexpected_keys
    ids = [(7 * i * i + 31 * i + 5) % config.vocab_size for i in range(60)]
    with torch.no_grad():
        logprobs = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1)
    vectors = {"made_by": f"transformers {transformers.__version__}, torch {torch.__version__}, float", "ids": ids,
               "logprobs": [round(float(logprobs[i, ids[i + 1]]), 6) for i in range(len(ids) - 1)]}
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(vectors) + "\n")
    print(OUT, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
