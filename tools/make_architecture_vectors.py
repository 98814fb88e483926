#!/usr/bin/env python3
"""Makes common/model/testdata/tiny_*_logprobs.json: log probabilities of the tests' tiny models, one of each architecture
and kind of rope scaling, by Hugging Face's transformers. From the repository's root:

    python3 -m venv /tmp/v && /tmp/v/bin/pip install torch transformers gguf==0.19.0
    bazel build //tests:make_tiny_model
    /tmp/v/bin/python tools/make_architecture_vectors.py $(bazel info bazel-bin)/tests/make_tiny_model
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import torch
import transformers

OUT = pathlib.Path("common/model/testdata")
KINDS = [("llama", "linear"), ("llama", "yarn"), ("qwen2", ""), ("qwen2", "yarn"), ("qwen3", ""), ("qwen3", "yarn")]
CLASSES = {"llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
           "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
           "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM)}
NAMES = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_q.bias": "self_attn.q_proj.bias",
    "attn_k.bias": "self_attn.k_proj.bias",
    "attn_v.bias": "self_attn.v_proj.bias",
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
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


def halved(matrix, head_dim):
    """llama.cpp stores a llama's pairs side by side; transformers has a head's first values, then their partners."""
    return matrix.reshape(-1, head_dim // 2, 2, matrix.shape[1]).transpose(1, 2).reshape(matrix.shape)


def load(path, architecture):
    reader = gguf.GGUFReader(path)

    def value(key, otherwise=None):
        field = reader.get_field(f"{architecture}.{key}")
        return otherwise if field is None else field.contents()

    head_dim = value("attention.key_length")
    weights = {}
    for t in reader.tensors:
        tensor = torch.tensor(t.data.copy())
        if architecture == "llama" and t.name.endswith(("attn_q.weight", "attn_k.weight")):
            tensor = halved(tensor, head_dim)
        weights[target_name(t.name)] = tensor
    rope = {"rope_type": value("rope.scaling.type", "default"), "rope_theta": value("rope.freq_base")}
    if rope["rope_type"] != "default":
        rope["factor"] = value("rope.scaling.factor")
    if rope["rope_type"] == "yarn":
        rope["original_max_position_embeddings"] = value("rope.scaling.original_context_length")
    config_class, model_class = CLASSES[architecture]
    model = model_class(config_class(
        vocab_size=weights["model.embed_tokens.weight"].shape[0], hidden_size=value("embedding_length"),
        intermediate_size=value("feed_forward_length"), num_hidden_layers=value("block_count"),
        num_attention_heads=value("attention.head_count"), num_key_value_heads=value("attention.head_count_kv"),
        head_dim=head_dim, rms_norm_eps=value("attention.layer_norm_rms_epsilon"), rope_parameters=rope,
        tie_word_embeddings=False, max_position_embeddings=value("context_length"), attn_implementation="eager"))
    missing = model.load_state_dict(weights, strict=True)
    assert not missing.missing_keys and not missing.unexpected_keys
    return model.float().eval()


def main():
    with tempfile.TemporaryDirectory() as directory:
        for architecture, scaling in KINDS:
            path = f"{directory}/tiny.gguf"
            subprocess.run([sys.argv[1], path, architecture, "1"] + ([scaling] if scaling else []), check=True)
            model = load(path, architecture)
            size = model.config.vocab_size
            ids = [(7 * i * i + 31 * i + 5) % size for i in range(60)]
            with torch.no_grad():
                logprobs = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1)
            vectors = {"made_by": f"transformers {transformers.__version__}, torch {torch.__version__}, float", "ids": ids,
                       "logprobs": [round(float(logprobs[i, ids[i + 1]]), 6) for i in range(len(ids) - 1)]}
            out = OUT / f"tiny_{architecture}{'_' + scaling if scaling else ''}_logprobs.json"
            out.write_text(json.dumps(vectors) + "\n")
            print(out, out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
