"""The tokenizer of a GGUF file, and which of its tokens close a sentence.

Tested by vocabulary_test.py against the vectors of common/tokenizer.
"""

import unicodedata

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

LINE_BREAKS = set("\n\v\f\r\x85\u2028\u2029")
# Unicode's Sentence_Terminal, the ellipsis and the Khmer stops: code points and ranges of them.
TERMINALS = (
    "21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 17D4-17D5 "
    "1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F 2026 203C-203D 2047-2049 2E2E "
    "2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52 "
    "FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 "
    "111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 "
    "1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 16A6E-16A6F 16AF5 16B37-16B38 16B44 "
    "16E98 1BC9F 1DA88")
CONTROL = 3  # token_type of GGUF
USER_DEFINED = 4
END_SPELLINGS = ("<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "</s>")


def _expand(ranges):
    for part in ranges.split():
        first, _, last = part.partition("-")
        yield from map(chr, range(int(first, 16), int(last or first, 16) + 1))


TERMINAL_CHARACTERS = set(_expand(TERMINALS))


def _is_closing(character):
    return character in "\"'" or character.isspace() or unicodedata.category(character) in ("Pe", "Pf")


def closes_sentence(text):
    """Whether a token of this text does: as common/tokenizer/anchor_sets.cc has it."""
    if LINE_BREAKS & set(text):
        return True
    end = len(text)
    while end > 0 and _is_closing(text[end - 1]):
        end -= 1
    return end > 0 and text[end - 1] in TERMINAL_CHARACTERS and all(
        c in TERMINAL_CHARACTERS or _is_closing(c) or unicodedata.category(c)[0] in "LMN" for c in text[:end])


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
        """The set `anchors=sentence`."""
        ids, special = set(self._ends), set(self._special.values())
        for id in range(self.size):
            if id not in special and closes_sentence(self.decode([id])):
                ids.add(id)
        return sorted(ids)
