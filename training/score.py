"""Mean loss of given token ids under a policy, in PyTorch: what `kedge score` must agree with.

    python score.py --model base.gguf --adapter anchors.gguf --policy anchors=sentence --tokens_file ids.txt
"""

import argparse
import os
import re

import gguf
import torch

import adapter
import policy
from model import GgufModelFile
from vocabulary import Vocabulary


@torch.no_grad()
def round_to_q8(llama):
    """Rounds the merged matrices as servers store those of a quantized base (Q8_0)."""
    for group in llama.groups():
        rounded = gguf.quants.quantize(group.merged.numpy(), gguf.GGMLQuantizationType.Q8_0)
        group.merged.copy_(torch.from_numpy(gguf.quants.dequantize(rounded, gguf.GGMLQuantizationType.Q8_0)))


def load(model_path, adapter_path):
    """The model with an adapter merged, or as it is (adapter_path None)."""
    file = GgufModelFile(model_path)
    if adapter_path is None:
        return file, file.load(rank=1)  # B is zero
    rank, alpha = adapter.rank_and_alpha(gguf.GGUFReader(adapter_path))
    llama = file.load(rank=rank, alpha=alpha)
    adapter.read(adapter_path, llama, model_path)
    llama.merge()
    return file, llama


@torch.no_grad()
def losses(llama, ids, policy_text, sentence_ids, first=1):
    """-log p of each of ids[first:] (a list), one pass."""
    rows = torch.tensor([ids])
    bias = policy.attention_bias(rows, [policy.parse(policy_text)], sentence_ids)
    return llama.losses(rows, bias, first)[0]


def read_ids(flags, vocabulary):
    if flags.text_file:
        with open(flags.text_file, encoding="utf-8", newline="") as file:
            return vocabulary.encode(file.read())
    with open(flags.tokens_file, encoding="utf-8") as file:
        return [int(id) for id in re.findall(r"\d+", file.read())]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="GGUF file of the base")
    parser.add_argument("--adapter", help="GGUF LoRA adapter")
    parser.add_argument("--policy", default="full")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--tokens_file", help="ids, with anything between")
    source.add_argument("--text_file")
    parser.add_argument("--first", type=int, default=1, help="index of the first token that is scored")
    parser.add_argument("--q8", action="store_true", help="round merged matrices to Q8_0, as servers do")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    file, llama = load(flags.model, flags.adapter)
    if flags.q8:
        round_to_q8(llama)
    vocabulary = Vocabulary(file.metadata)
    ids = read_ids(flags, vocabulary)
    result = losses(llama, ids, flags.policy, vocabulary.sentence_ids(), flags.first)
    print(f"tokens  {len(ids)}\nscored  {len(result)}\nloss    {result.double().mean():.4f} nats per token")


if __name__ == "__main__":
    main()
