"""The weights of a Hugging Face folder, one tensor at a time.

Read are model.safetensors and pytorch_model.bin, whole or in shards with an index; safetensors goes first where both are
there. Files are mapped into memory, so a tensor costs memory while it is in use. The one exception is a .bin file of
PyTorch before 1.6, which is no zip archive and is read whole.

A .bin file is a pickle. It is only ever read with `weights_only=True`, which makes tensors and refuses everything else.
"""
import json
import os
import pickle
import zipfile

import safetensors
import torch


class FolderError(Exception):
    """What is wrong with the folder, in words for its owner: names the file and the field or tensor."""


def read_json(folder, name):
    """The object in `name`; {} where there is no such file."""
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except ValueError as error:
        raise FolderError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise FolderError(f"{path}: must be a JSON object")
    return value


class Weights:
    """`names` in the files' order; shape() reads no data. The files stay mapped for this object's life."""

    def __init__(self, folder):
        self._where = {}  # tensor name -> the open file that has it
        for path in _weight_files(folder):
            shard = _Safetensors(path) if path.endswith(".safetensors") else _Pickle(path)
            for name in shard.names():
                if name in self._where:
                    raise FolderError(f"{path}: tensor '{name}' is also in {self._where[name].path}")
                self._where[name] = shard

    @property
    def names(self):
        return list(self._where)

    def shape(self, name):
        return self._where[name].shape(name)

    def get(self, name):
        """The tensor: valid for this object's life, and not to be written to."""
        return self._where[name].get(name)


class _Safetensors:
    def __init__(self, path):
        self.path = path
        try:
            self._file = safetensors.safe_open(path, framework="pt")
        except (OSError, safetensors.SafetensorError) as error:
            raise FolderError(f"{path}: {error}") from error

    def names(self):
        return self._file.keys()

    def shape(self, name):
        return tuple(self._file.get_slice(name).get_shape())

    def get(self, name):
        return self._file.get_tensor(name)


class _Pickle:
    def __init__(self, path):
        self.path = path
        try:
            # What is not a zip archive can not be mapped.
            self._tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise FolderError(f"{path}: not a file of plain tensors: {error}") from error
        if not isinstance(self._tensors, dict):
            raise FolderError(f"{path}: must be a state dict, found {type(self._tensors).__name__}")
        for name, tensor in self._tensors.items():
            if not isinstance(tensor, torch.Tensor):
                raise FolderError(f"{path}: '{name}' is no tensor, but {type(tensor).__name__}")

    def names(self):
        return self._tensors.keys()

    def shape(self, name):
        return tuple(self._tensors[name].shape)

    def get(self, name):
        return self._tensors[name]


_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


def _weight_files(folder):
    for index in _INDEXES:
        whole = os.path.join(folder, index.removesuffix(".index.json"))
        if os.path.exists(whole):
            return [whole]
        weight_map = read_json(folder, index).get("weight_map")
        if weight_map is None:
            continue
        files = sorted(set(weight_map.values()))
        for file in files:
            if os.path.basename(file) != file:
                raise FolderError(f"{os.path.join(folder, index)}: weight_map: '{file}' is not a name in this folder")
            if not os.path.exists(os.path.join(folder, file)):
                raise FolderError(f"{os.path.join(folder, file)}: missing; {index} names it")
        return [os.path.join(folder, file) for file in files]
    raise FolderError(f"{folder}: no weights; supported are model.safetensors and pytorch_model.bin, whole or in shards "
                      "with an index")
