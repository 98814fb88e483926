#!/usr/bin/env python3
"""Makes tests/testdata/smollm2_logprobs.json: log probabilities of the default model by an independent implementation.

llama.cpp computes them in float: the weights are first written out as F32, so that what is compared is the model and not
how either side rounds activations. Command (any machine with a C++ compiler; the packages come from PyPI):

    python3 -m venv /tmp/v && /tmp/v/bin/pip install numpy gguf llama-cpp-python
    /tmp/v/bin/python tools/make_logprob_vectors.py ~/.cache/kedge/SmolLM2-135M-Instruct.Q4_1.gguf \
        tests/testdata/smollm2_logprobs.json
"""
import json
import os
import sys
import tempfile

import gguf
import llama_cpp
import numpy as np
from gguf.quants import dequantize

TEXTS = [
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\nThe capital of France is Paris.",
    "An anchor is a device, normally made of metal, used to secure a vessel to the bed of a body of water to prevent the "
    "craft from drifting due to wind or current. Anchors can either be temporary or permanent! Permanent anchors are used "
    "in the creation of a mooring, and are rarely moved. A specialist service is normally needed to move or maintain "
    "them. Vessels carry one or more temporary anchors, which may be of different designs and weights.",
    "def fibonacci(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a\n\n"
    "print([fibonacci(i) for i in range(10)])\n# [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]\n",
]


def write_f32(source: str, target: str) -> None:
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=element)
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, values.reshape([int(side) for side in reversed(tensor.shape)]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    source, target = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        f32 = os.path.join(folder, "f32.gguf")
        write_f32(source, f32)
        model = llama_cpp.Llama(f32, n_ctx=1024, logits_all=True, verbose=False, n_threads=2, flash_attn=False,
                                type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32)
        cases = []
        for text in TEXTS:
            ids = model.tokenize(text.encode(), add_bos=False, special=True)
            model.reset()
            model.eval(ids)
            logits = np.array(model.scores[: len(ids)], dtype=np.float64)
            norm = np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)) + logits.max(axis=1)
            logprobs = [float(logits[i, ids[i + 1]] - norm[i]) for i in range(len(ids) - 1)]
            cases.append({"ids": ids, "logprobs": [round(value, 6) for value in logprobs]})
    with open(target, "w", encoding="utf-8") as out:
        json.dump({"made_by": f"llama-cpp-python {llama_cpp.__version__}, F32 weights and F32 rows", "cases": cases}, out,
                  indent=None, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
