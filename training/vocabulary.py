"""The tokenizer of a GGUF file, and which of its tokens close a sentence.

Tested by vocabulary_test.py against the vectors of common/tokenizer.
"""

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

CLOSING = set(".?!。！？\n")
OTHER = set("\"')")
CONTROL = 3  # token_type of GGUF
USER_DEFINED = 4
END_SPELLINGS = ("<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "</s>")


class Vocabulary:
    """Byte-level BPE with the digits apart (`tokenizer.ggml.pre` smollm), the kind that the default model has."""

    def __init__(self, metadata):
        """metadata: function from a key of the GGUF's metadata to its value, None where it is not there."""
        kind = metadata("tokenizer.ggml.model"), metadata("tokenizer.ggml.pre")
        if kind != ("gpt2", "smollm"):
            raise ValueError(f"tokenizer {kind} is not known to training; only ('gpt2', 'smollm') is")
        tokens = metadata("tokenizer.ggml.tokens")
        types = metadata("tokenizer.ggml.token_type")
        merges = [tuple(merge.split(" ")) for merge in metadata("tokenizer.ggml.merges")]
        self._bpe = tokenizers.Tokenizer(models.BPE({token: id for id, token in enumerate(tokens)}, merges))
        self._bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
        self._bpe.decoder = decoders.ByteLevel()
        self._special = {tokens[id]: id for id, type in enumerate(types) if type in (CONTROL, USER_DEFINED)}
        self._ends = {metadata("tokenizer.ggml.eos_token_id"), metadata("tokenizer.ggml.eot_token_id")}
        self._ends |= {self._special.get(spelling) for spelling in END_SPELLINGS}
        self._ends.discard(None)
        self.size = len(tokens)

    def encode(self, text):
        """Ids of `text`, in which the spellings of special tokens are plain text."""
        return self._bpe.encode(text).ids

    def special(self, spelling):
        """The id of a special token; KeyError if there is none that is spelt so."""
        return self._special[spelling]

    def decode(self, ids):
        return self._bpe.decode(ids, skip_special_tokens=False)

    def answer_opener(self):
        """The ids with which ChatML opens an answer; empty where the vocabulary has no ChatML."""
        if "<|im_start|>" not in self._special:
            return []
        return [self.special("<|im_start|>"), *self.encode("assistant\n")]

    def sentence_ids(self):
        """The set `anchors=sentence`: as common/tokenizer/anchor_sets.cc has it."""
        ids, special = set(self._ends), set(self._special.values())
        for id in range(self.size):
            text = set(self.decode([id]).strip(" "))
            if id not in special and text & CLOSING and text <= CLOSING | OTHER:
                ids.add(id)
        return sorted(ids)
