"""LoRA adapters as GGUF files, as llama.cpp lays them out.

For a matrix NAME of the base, W [out, in]: NAME.lora_a is A [rank, in], NAME.lora_b is B [out, rank], and the adapted
matrix is W + (alpha / rank) B A. Kedge adds the policy that the adapter was trained for and the digest of its base.
Tested by adapter_test.py.
"""

import hashlib

import gguf
import numpy as np
import torch

POLICY_KEY = "kedge.anchor.policy"
BASE_KEY = "kedge.adapter.base"


def file_digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(path, llama, base_path, policy, name, license="apache-2.0", dtype=np.float16):
    """Writes the factors of `llama`; dtype: np.float16 or np.float32."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", llama.alpha)
    writer.add_name(name)
    writer.add_license(license)
    writer.add_string(POLICY_KEY, policy)
    writer.add_string(BASE_KEY, file_digest(base_path))
    for tensor, a, b in factors(llama):
        writer.add_tensor(tensor + ".lora_a", a.numpy().astype(dtype))
        writer.add_tensor(tensor + ".lora_b", b.numpy().astype(dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read(path, llama, base_path=None):
    """Sets the factors of `llama` to those of the file, whose rank and alpha must be the model's; the caller merges.

    base_path: checked against the digest of the adapter's base where that is named.
    """
    reader = gguf.GGUFReader(path)
    digest = reader.get_field(BASE_KEY)
    if base_path and digest is not None and digest.contents() != file_digest(base_path):
        raise ValueError(f"{path}: {BASE_KEY} is {digest.contents()}, which is not the SHA-256 of {base_path}")
    rank, alpha = rank_and_alpha(reader)
    if (rank, alpha) != (llama.rank, llama.alpha):
        raise ValueError(f"{path}: rank {rank} and alpha {alpha}, wanted {llama.rank} and {llama.alpha}")
    tensors = {tensor.name: torch.from_numpy(np.array(tensor.data, dtype=np.float32)) for tensor in reader.tensors}
    for name, a, b in factors(llama):
        a.copy_(tensors.pop(name + ".lora_a"))
        b.copy_(tensors.pop(name + ".lora_b"))
    if tensors:
        raise ValueError(f"{path}: tensor '{min(tensors)}' belongs to no layer of the model")


def rank_and_alpha(reader):
    """Of an adapter all of whose matrices have one rank."""
    ranks = {int(tensor.shape[1]) for tensor in reader.tensors if tensor.name.endswith(".lora_a")}
    if len(ranks) != 1:
        raise ValueError(f"an adapter of one rank is wanted, found ranks {sorted(ranks)}")
    return ranks.pop(), float(reader.get_field("adapter.lora.alpha").contents())


def factors(llama):
    """Yields (name of the base's tensor, A [rank, in], B [out, rank]): views of the model's factors."""
    for group in llama.groups():
        for name, a, b, _, _ in group.layers():
            yield name, a.detach(), b.detach()
