"""Writes the adapter of a run's checkpoint as a GGUF file; the run may go on meanwhile."""

import argparse
import os

import numpy as np
import torch

import adapter
from model import GgufModelFile
from train import STRICT


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="GGUF file of the base that was trained")
    parser.add_argument("--run", required=True, help="directory of the run")
    parser.add_argument("--out", required=True, help="file to write")
    parser.add_argument("--policy", default=STRICT, help="what servers use with it by default")
    parser.add_argument("--name", default="SmolLM2-135M-Instruct anchors", help="general.name")
    parser.add_argument("--license", default="apache-2.0", help="general.license")
    parser.add_argument("--f32", action="store_true", help="float32 factors rather than float16")
    flags = parser.parse_args()
    state = torch.load(os.path.join(flags.run, "checkpoint.pt"), weights_only=True)
    llama = GgufModelFile(flags.model).load(rank=state["rank"], alpha=state["alpha"])
    llama.set_factors(state["factors"])
    dtype = np.float32 if flags.f32 else np.float16
    adapter.write(flags.out, llama, flags.model, flags.policy, flags.name, flags.license, dtype)
    print(f"{flags.out}: {os.path.getsize(flags.out)} bytes, {state['tokens']} tokens of training")


if __name__ == "__main__":
    main()
