#!/usr/bin/env python3
"""Converts a Hugging Face folder of a Llama, Qwen2 or Qwen3 model into a GGUF file that Kedge (or llama.cpp) reads.

    tools/convert_hf.py FOLDER OUT.gguf [--type bf16] [--anchor-policy anllm-ac]

An anchor model's policy travels in the file, as `kedge.anchor.policy`. See tools/README.md.
Tensors are read, changed and written one at a time. OUT is there when it is whole: it is written beside its place and
renamed into it. Tested by convert_hf_test.py.
"""
import argparse
import dataclasses
import math
import os
import sys

try:
    import gguf
    import numpy as np
    import torch
    from gguf import GGMLQuantizationType, LlamaFileType, RopeScalingType

    import hf_vocabulary
    from hf_weights import FolderError, Weights, read_json
except ImportError as missing:
    sys.exit(f"convert_hf.py: {missing.name} is missing; in a virtual environment (python3 -m venv DIR), install it with "
             "what else is needed: DIR/bin/pip install gguf numpy protobuf safetensors sentencepiece torch")

# The token that AnLLM-AC adds to its vocabulary.
AC_SPELLING = "<AC>"


@dataclasses.dataclass(frozen=True)
class Family:
    architecture: str  # general.architecture
    interleaves_rope: bool  # GGUF rotates neighbours (0,1), (2,3), ...; Hugging Face (0, n/2), (1, n/2 + 1), ...
    has_qkv_bias: bool
    has_head_norms: bool


FAMILIES = {
    "LlamaForCausalLM": Family("llama", interleaves_rope=True, has_qkv_bias=False, has_head_norms=False),
    "Qwen2ForCausalLM": Family("qwen2", interleaves_rope=False, has_qkv_bias=True, has_head_norms=False),
    "Qwen3ForCausalLM": Family("qwen3", interleaves_rope=False, has_qkv_bias=False, has_head_norms=True),
}


@dataclasses.dataclass(frozen=True)
class RopeScaling:
    kind: RopeScalingType
    factor: float
    # YaRN's
    original_context: int = 0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float = 1.0  # beside the 0.1 ln(factor) + 1 that readers of the file multiply by


@dataclasses.dataclass(frozen=True)
class MatrixType:
    gguf_type: GGMLQuantizationType
    file_type: LlamaFileType


MATRIX_TYPES = {
    "f32": MatrixType(GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "f16": MatrixType(GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "bf16": MatrixType(GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
    "q8_0": MatrixType(GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}
# What a folder's own weights are called here: `--type` where none is given.
SOURCE_TYPES = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}


class Config:
    """config.json: the shape of the model. Whatever would change the result and is not converted is refused."""

    def __init__(self, folder):
        self._path = os.path.join(folder, "config.json")
        self.values = read_json(folder, "config.json")
        if not self.values:
            raise FolderError(f"{self._path}: missing or empty")
        names = self.values.get("architectures") or []
        self.family = next((FAMILIES[name] for name in names if name in FAMILIES), None)
        if self.family is None:
            raise self.error("architectures", f"{names} is not supported; supported are {', '.join(FAMILIES)}")
        self.layers = self._count("num_hidden_layers")
        self.hidden = self._count("hidden_size")
        self.ffn = self._count("intermediate_size")
        self.context = self._count("max_position_embeddings")
        self.vocab = self._count("vocab_size")
        self.heads = self._count("num_attention_heads")
        self.kv_heads = self._count("num_key_value_heads", self.heads)
        if not self.values.get("head_dim") and self.hidden % self.heads != 0:
            raise self.error("num_attention_heads", f"{self.heads} does not divide hidden_size, {self.hidden}")
        self.head_dim = self._count("head_dim", self.hidden // self.heads)
        if self.heads % self.kv_heads != 0:
            raise self.error("num_key_value_heads", f"{self.kv_heads} does not divide the {self.heads} query heads")
        if self.head_dim % 2 != 0:
            raise self.error("head_dim", f"{self.head_dim} is odd")
        self.epsilon = self.values.get("rms_norm_eps", 1e-6)
        self.is_tied = bool(self.values.get("tie_word_embeddings", False))
        self._check_neutral()
        self._read_rope()

    def error(self, field, what):
        return FolderError(f"{self._path}: {field}: {what}")

    def _count(self, field, otherwise=None):
        value = self.values.get(field)
        value = otherwise if value is None else value
        if not isinstance(value, int) or value < 1:
            raise self.error(field, f"must be a whole number of 1 or more, found {value}")
        return value

    def _check_neutral(self):
        for field, neutral in (("hidden_act", "silu"), ("attention_bias", False), ("mlp_bias", False),
                               ("partial_rotary_factor", 1.0), ("use_sliding_window", False),
                               ("quantization_config", None)):
            value = self.values.get(field, neutral)
            if value is not None and value != neutral:
                raise self.error(field, f"{value} is not supported; supported: {neutral}")
        # Since transformers 4.54 this list decides.
        for kind in self.values.get("layer_types") or []:
            if kind != "full_attention":
                raise self.error("layer_types", f"{kind} is not supported; supported: full_attention")

    def _read_rope(self):
        # rope_parameters since transformers 5; before it rope_theta, and rope_scaling with `type` or `rope_type`.
        rope = self.values.get("rope_parameters") or self.values.get("rope_scaling") or {}
        self.rope_theta = float(rope.get("rope_theta") or self.values.get("rope_theta") or 10000.0)
        self.rope_factors = None  # [head_dim / 2] f32; divide the frequencies
        self.rope_scaling = None
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind == "llama3":
            self.rope_factors = self._llama3_factors(rope)
        elif kind == "linear":
            self.rope_scaling = RopeScaling(RopeScalingType.LINEAR, self._rope_number(rope, "factor"))
        elif kind == "yarn":
            self.rope_scaling = self._yarn(rope)
            if "original_max_position_embeddings" in rope:  # then the field below may still be the trained context
                stretched = int(self.rope_scaling.original_context * self.rope_scaling.factor)
                self.context = max(self.context, stretched)
        elif kind != "default":
            raise self.error("rope_scaling", f"type '{kind}' is not supported; supported are default, linear, llama3 and "
                                             "yarn")

    def _rope_number(self, rope, field, otherwise=None):
        value = rope.get(field)
        value = otherwise if value is None else value
        if not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise self.error("rope_scaling", f"{field}: must be a number above 0, found {value}")
        return value

    def _yarn(self, rope):
        if not rope.get("truncate", True):
            raise self.error("rope_scaling", "truncate: False is not supported; supported: True")
        factor = self._rope_number(rope, "factor")

        def magnitude(mscale):
            return 0.1 * mscale * math.log(factor) + 1 if factor > 1 else 1.0

        attention_factor = magnitude(1)
        if rope.get("attention_factor") is not None:
            attention_factor = self._rope_number(rope, "attention_factor")
        elif rope.get("mscale") and rope.get("mscale_all_dim"):
            attention_factor = (magnitude(self._rope_number(rope, "mscale")) /
                                magnitude(self._rope_number(rope, "mscale_all_dim")))
        return RopeScaling(RopeScalingType.YARN, factor,
                           original_context=int(self._rope_number(rope, "original_max_position_embeddings", self.context)),
                           beta_fast=self._rope_number(rope, "beta_fast", 32.0),
                           beta_slow=self._rope_number(rope, "beta_slow", 1.0),
                           attention_factor=attention_factor / magnitude(1))

    def _llama3_factors(self, rope):
        """Llama 3.1 stretches wavelengths beyond the trained context by `factor`, leaves short ones, and blends between."""
        for field in ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"):
            self._rope_number(rope, field)
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        if high <= low:
            raise self.error("rope_scaling", f"high_freq_factor: must be above low_freq_factor, {low}, found {high}")
        wavelengths = 2 * math.pi * self.rope_theta ** (np.arange(0, self.head_dim, 2) / self.head_dim)
        turns = rope["original_max_position_embeddings"] / wavelengths  # in the trained context
        share = np.clip((turns - low) / (high - low), 0, 1)  # of the unchanged frequency
        return (1 / ((1 - share) / rope["factor"] + share)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Plan:
    """One tensor of the result. `shape` is Hugging Face's, [rows, columns] or [size]; so is gguf's in Python."""
    name: str
    source: str
    shape: tuple
    rope_heads: int = 0  # above 0: rows of this many heads to interleave


def plan_tensors(config):
    query, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
    query_rope, kv_rope = (config.heads, config.kv_heads) if config.family.interleaves_rope else (0, 0)
    yield Plan("token_embd.weight", "model.embed_tokens.weight", (config.vocab, config.hidden))
    for layer in range(config.layers):
        def block(name, source, *shape, rope_heads=0):
            return Plan(f"blk.{layer}.{name}", f"model.layers.{layer}.{source}", shape, rope_heads)
        yield block("attn_norm.weight", "input_layernorm.weight", config.hidden)
        yield block("attn_q.weight", "self_attn.q_proj.weight", query, config.hidden, rope_heads=query_rope)
        yield block("attn_k.weight", "self_attn.k_proj.weight", kv, config.hidden, rope_heads=kv_rope)
        yield block("attn_v.weight", "self_attn.v_proj.weight", kv, config.hidden)
        if config.family.has_qkv_bias:
            yield block("attn_q.bias", "self_attn.q_proj.bias", query, rope_heads=query_rope)
            yield block("attn_k.bias", "self_attn.k_proj.bias", kv, rope_heads=kv_rope)
            yield block("attn_v.bias", "self_attn.v_proj.bias", kv)
        if config.family.has_head_norms:
            yield block("attn_q_norm.weight", "self_attn.q_norm.weight", config.head_dim)
            yield block("attn_k_norm.weight", "self_attn.k_norm.weight", config.head_dim)
        yield block("attn_output.weight", "self_attn.o_proj.weight", config.hidden, query)
        yield block("ffn_norm.weight", "post_attention_layernorm.weight", config.hidden)
        yield block("ffn_gate.weight", "mlp.gate_proj.weight", config.ffn, config.hidden)
        yield block("ffn_up.weight", "mlp.up_proj.weight", config.ffn, config.hidden)
        yield block("ffn_down.weight", "mlp.down_proj.weight", config.hidden, config.ffn)
    yield Plan("output_norm.weight", "model.norm.weight", (config.hidden,))
    if not config.is_tied:
        yield Plan("output.weight", "lm_head.weight", (config.vocab, config.hidden))


def check_tensors(folder, plans, weights, is_tied):
    """Both directions: one that is missing, and one that would be left out."""
    names = set(weights.names)
    for plan in plans:
        if plan.source not in names:
            raise FolderError(f"{folder}: tensor '{plan.source}' is missing")
        if weights.shape(plan.source) != plan.shape:
            raise FolderError(f"{folder}: tensor '{plan.source}': found shape {list(weights.shape(plan.source))}, must be "
                              f"{list(plan.shape)}")
        names.remove(plan.source)
    for name in sorted(names):
        # Frequencies follow from rope_theta (older folders store them); a tied output is the embedding once more.
        if not name.endswith(".rotary_emb.inv_freq") and not (is_tied and name == "lm_head.weight"):
            raise FolderError(f"{folder}: tensor '{name}' is not part of the architecture, and leaving it out would change "
                              "the result")


def interleave_rope(tensor, heads):
    """[heads * head_dim, ...]: within each head, row i of the two halves become rows 2i and 2i + 1."""
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return halves.transpose(1, 2).reshape(tensor.shape)


def encode(tensor, plan, gguf_type):
    """The tensor as the file has it: an array of the file's numbers, or of bytes for types that numpy does not have."""
    if tensor.dtype not in SOURCE_TYPES:
        raise FolderError(f"tensor '{plan.source}': {tensor.dtype} is not supported; supported are "
                          f"{', '.join(map(str, SOURCE_TYPES))}")
    if plan.rope_heads > 0:
        tensor = interleave_rope(tensor, plan.rope_heads)
    tensor = tensor.contiguous()
    if gguf_type == GGMLQuantizationType.BF16:
        return tensor.to(torch.bfloat16).view(torch.uint8).numpy()
    if gguf_type == GGMLQuantizationType.F16:
        half = tensor.to(torch.float16)
        if not torch.isfinite(half).all():
            raise FolderError(f"tensor '{plan.source}': has values beyond the range of f16; choose bf16 or f32")
        return half.numpy()
    whole = tensor.to(torch.float32).numpy()
    return whole if gguf_type == GGMLQuantizationType.F32 else gguf.quants.quantize(whole, gguf_type)


def type_of(plan, matrix_type):
    """Norms and biases are small, and a matrix product's precision does not hang on them: always F32."""
    return matrix_type.gguf_type if len(plan.shape) == 2 else GGMLQuantizationType.F32


def byte_shape(plan, gguf_type):
    """[rows, bytes of a row] or [bytes]."""
    try:
        return gguf.quants.quant_shape_to_byte_shape(plan.shape, gguf_type)
    except ValueError as error:
        raise FolderError(f"tensor '{plan.source}': rows of {plan.shape[-1]} numbers can not be stored as "
                          f"{gguf_type.name}; choose another --type") from error


def anchor_policy(spec, vocabulary):
    """The text for kedge.anchor.policy, with AnLLM's presets resolved to this vocabulary's ids; None for none."""
    ac_id = vocabulary.find(AC_SPELLING)
    if spec is None:
        spec = None if ac_id is None else "anllm-ac"
    if spec is None:
        return None
    preset, *settings = spec.split(",")
    if preset == "anllm-ep":
        anchor, keys = vocabulary.find("."), ("anchors",)
    elif preset == "anllm-ac":
        anchor, keys = ac_id, ("anchors", "insert")
    else:
        return spec
    if anchor is None:
        raise FolderError(f"--anchor-policy: {preset}: the vocabulary has no token '{AC_SPELLING if ac_id is None else '.'}'")
    merged = {key: f"{key}={anchor}" for key in keys}
    merged.update((setting.partition("=")[0], setting) for setting in settings)
    return ",".join(merged.values())


def add_rope_scaling(writer, scaling):
    writer.add_rope_scaling_type(scaling.kind)
    writer.add_rope_scaling_factor(scaling.factor)
    if scaling.kind == RopeScalingType.YARN:
        writer.add_rope_scaling_orig_ctx_len(scaling.original_context)
        writer.add_rope_scaling_yarn_beta_fast(scaling.beta_fast)
        writer.add_rope_scaling_yarn_beta_slow(scaling.beta_slow)
        if scaling.attention_factor != 1:
            writer.add_rope_scaling_attn_factors(scaling.attention_factor)


def add_metadata(writer, config, vocabulary, name, policy, file_type):
    writer.add_name(name)
    writer.add_file_type(file_type)
    if file_type == LlamaFileType.MOSTLY_Q8_0:
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config.layers)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.hidden)
    writer.add_feed_forward_length(config.ffn)
    writer.add_vocab_size(config.vocab)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.epsilon)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    if config.rope_scaling is not None:
        add_rope_scaling(writer, config.rope_scaling)
    if policy is not None:
        writer.add_string("kedge.anchor.policy", policy)

    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.scores is not None:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.merges is not None:
        writer.add_token_merges(vocabulary.merges)
    add_id = {"bos": writer.add_bos_token_id, "eos": writer.add_eos_token_id, "eot": writer.add_eot_token_id,
              "eom": writer.add_eom_token_id, "unk": writer.add_unk_token_id, "pad": writer.add_pad_token_id}
    for kind, token_id in vocabulary.ids.items():
        add_id[kind](token_id)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(vocabulary.add_eos)
    if vocabulary.add_space_prefix is not None:
        writer.add_add_space_prefix(vocabulary.add_space_prefix)
    if vocabulary.chat_template is not None:
        writer.add_chat_template(vocabulary.chat_template)


def write_tensors(writer, config, plans, weights, matrix_type):
    """First the table of all tensors, then their data in the same order."""
    if config.rope_factors is not None:
        writer.add_tensor_info("rope_freqs.weight", config.rope_factors.shape, np.dtype(np.float32),
                               config.rope_factors.nbytes)
    for plan in plans:
        gguf_type = type_of(plan, matrix_type)
        shape = byte_shape(plan, gguf_type)
        writer.add_tensor_info(plan.name, shape, np.dtype(np.uint8), math.prod(shape), raw_dtype=gguf_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    if config.rope_factors is not None:
        writer.write_tensor_data(config.rope_factors)
    for plan in plans:
        writer.write_tensor_data(encode(weights.get(plan.source), plan, type_of(plan, matrix_type)))


def convert(folder, out, type_name=None, policy_spec=None, name=None):
    """Returns what was written: the policy, or None, and the name of the matrices' type."""
    config = Config(folder)
    weights = Weights(folder)
    plans = list(plan_tensors(config))
    check_tensors(folder, plans, weights, config.is_tied)
    vocabulary = hf_vocabulary.read_vocabulary(folder, config.values, config.vocab)
    policy = anchor_policy(policy_spec, vocabulary)
    if type_name is None:
        type_name = SOURCE_TYPES.get(weights.get(plans[0].source).dtype, "f32")
    matrix_type = MATRIX_TYPES[type_name]

    partial = f"{out}.partial"
    writer = gguf.GGUFWriter(partial, config.family.architecture)
    try:
        add_metadata(writer, config, vocabulary, name or os.path.basename(os.path.realpath(folder)), policy,
                     matrix_type.file_type)
        write_tensors(writer, config, plans, weights, matrix_type)
        writer.close()
        os.replace(partial, out)
    finally:
        writer.close()
        if os.path.exists(partial):
            os.remove(partial)
    return policy, type_name


def main():
    parser = argparse.ArgumentParser(description="Converts a Hugging Face folder of a Llama, Qwen2 or Qwen3 model to GGUF.")
    parser.add_argument("folder", help="with config.json, weights and tokenizer")
    parser.add_argument("out", help="the GGUF file to write")
    parser.add_argument("--type", choices=MATRIX_TYPES, help="of the matrices (default: as in the folder)")
    parser.add_argument("--anchor-policy", metavar="SPEC",
                        help="what the model was trained for, e.g. anllm-ep or anllm-ac (default: anllm-ac if the "
                             f"vocabulary has {AC_SPELLING}, else none)")
    parser.add_argument("--name", help="general.name (default: the folder's)")
    options = parser.parse_args()
    try:
        policy, type_name = convert(options.folder, options.out, options.type, options.anchor_policy, options.name)
    except (FolderError, OSError) as error:
        sys.exit(f"convert_hf.py: {error}")
    print(f"{options.out}: {os.path.getsize(options.out)} bytes, {type_name}, anchor policy: {policy or 'none'}")


if __name__ == "__main__":
    main()
