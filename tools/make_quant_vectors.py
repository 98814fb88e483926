"""Writes common/kernels/testdata/quant_vectors.json: blocks of random bytes and the weights that the `gguf` package reads
in them. Only scales are chosen, so that they are finite.

    python3 -m venv ~/convert && ~/convert/bin/pip install gguf numpy
    ~/convert/bin/python tools/make_quant_vectors.py > common/kernels/testdata/quant_vectors.json
"""

import json

import gguf
import numpy as np

# Type -> byte offsets of its f16 scales.
TYPES = {"Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def main():
    random = np.random.default_rng(1)
    vectors = {}
    for name, offsets in TYPES.items():
        type_ = gguf.GGMLQuantizationType[name]
        values, size = gguf.GGML_QUANT_SIZES[type_]
        data = random.integers(0, 256, 2 * size, dtype=np.uint8)
        for block in range(2):
            for offset in offsets:
                half = np.array([random.uniform(-2, 2)], dtype=np.float16)
                data[block * size + offset:block * size + offset + 2] = half.view(np.uint8)
        weights = gguf.dequantize(data.reshape(2, size), type_).reshape(2 * values)
        vectors[name] = {"bytes": data.tobytes().hex(), "weights": [float(weight) for weight in weights]}
    print(json.dumps(vectors))


if __name__ == "__main__":
    main()
