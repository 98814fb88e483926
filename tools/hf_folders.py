"""Small random models in Hugging Face folders, laid out as published ones are. For convert_hf_test.py."""
import io
import json
import os

import sentencepiece
import tokenizers
import torch
import transformers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import models, pre_tokenizers, processors, trainers

# As in Llama 2's vocabulary.
LLAMA2_PIECES = 32000
LLAMA2_FULL_STOP = 29889

TEXT = ["An anchor is a device, made of metal. It keeps a ship in its place! Does it hold? Mostly, in 9 of 10 cases.",
        "The kedge is a light anchor. It is carried out in a boat, and then the ship is hauled up to it.",
        "Sailors say: \"Let go the anchor.\" Then the chain runs out; when it has bitten, the ship turns into the wind."]


def _write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file)


def random_model(config, model_class, seed):
    """In f32, with values that bf16 has, and large enough for attention to matter: with transformers' own, all rows are
    nearly alike."""
    torch.manual_seed(seed)
    model = model_class(config).eval()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.dim() == 2:
                tensor.normal_(0, 2.0 / tensor.shape[1] ** 0.5)
            else:
                tensor.normal_(0 if name.endswith("bias") else 1, 0.2)
            tensor.copy_(tensor.bfloat16())
    return model


def _write_sentencepiece(path):
    """A trained BPE model, with unused pieces so that its size, and the full stop's id, are Llama 2's."""
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(sentence_iterator=iter(TEXT * 20), model_writer=trained, vocab_size=400,
                                             model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
                                             hard_vocab_limit=False, minloglevel=2)
    model = sentencepiece_model_pb2.ModelProto.FromString(trained.getvalue())
    pieces = [piece for piece in model.pieces if piece.piece != "."]
    full_stop = next(piece for piece in model.pieces if piece.piece == ".")
    unused = sentencepiece_model_pb2.ModelProto.SentencePiece
    pieces += [unused(piece=f"[FILL{i}]", score=-100000.0, type=unused.UNUSED) for i in range(len(pieces), LLAMA2_PIECES - 1)]
    pieces.insert(LLAMA2_FULL_STOP, full_stop)
    del model.pieces[:]
    model.pieces.extend(pieces)
    with open(path, "wb") as file:
        file.write(model.SerializeToString())


def write_anllm(folder, added_tokens, seed):
    """As pangjh3/AnLLM-EP-7B-PT ({"[PAD]": 32000}) and AnLLM-AC-7B-PT (<AC> as well): one pytorch_model.bin in bf16, a
    config of transformers 4.28, and the slow SentencePiece tokenizer alone. Returns the model."""
    os.makedirs(folder)
    config = transformers.LlamaConfig(vocab_size=LLAMA2_PIECES + len(added_tokens), hidden_size=64, intermediate_size=96,
                                      num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
                                      max_position_embeddings=4096, rms_norm_eps=1e-5, attn_implementation="eager")
    model = random_model(config, transformers.LlamaForCausalLM, seed)
    tensors = {name: tensor.bfloat16() for name, tensor in model.state_dict().items()}
    for layer in range(2):  # as files of that time have it
        tensors[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = 10000.0 ** (-torch.arange(0, 16, 2) / 16)
    torch.save(tensors, os.path.join(folder, "pytorch_model.bin"))
    _write_json(folder, "config.json", {
        "architectures": ["LlamaForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
        "hidden_size": 64, "initializer_range": 0.02, "intermediate_size": 96, "max_position_embeddings": 4096,
        "model_type": "llama", "num_attention_heads": 4, "num_hidden_layers": 2, "pad_token_id": 0, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16", "transformers_version": "4.28.0.dev0", "use_cache": False,
        "vocab_size": LLAMA2_PIECES + len(added_tokens)})
    _write_json(folder, "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0})
    _write_json(folder, "added_tokens.json", added_tokens)
    _write_json(folder, "special_tokens_map.json", {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "[PAD]",
                                                    "unk_token": "<unk>"})
    _write_json(folder, "tokenizer_config.json", {"bos_token": "", "eos_token": "", "unk_token": "",
                                                  "model_max_length": 2048, "tokenizer_class": "LlamaTokenizer"})
    _write_sentencepiece(os.path.join(folder, "tokenizer.model"))
    return model


def write_byte_level(folder, config, model_class, pre, seed, max_shard_size="50GB"):
    """A byte-level BPE vocabulary as SmolLM2's, with special tokens and padding rows; weights as safetensors.
    Returns the model and its tokenizer."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(pre)
    tokenizer.train_from_iterator(TEXT * 20, trainers.BpeTrainer(
        vocab_size=350, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.post_processor = processors.TemplateProcessing(single="<|im_start|> $A",
                                                             special_tokens=[("<|im_start|>", 1)])
    config.vocab_size = tokenizer.get_vocab_size() + 7
    model = random_model(config, model_class, seed)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    _write_json(folder, "tokenizer_config.json", {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>",
                                                  "chat_template": "{{ messages }}"})
    _write_json(folder, "generation_config.json", {"eos_token_id": [2, 0]})
    return model, tokenizer
