"""The vocabulary of a Hugging Face folder in the form that GGUF stores it.

Two kinds are read:
  tokenizer.json   byte-level BPE (Llama 3, SmolLM2, GPT-2, Qwen2, Qwen3)
  tokenizer.model  SentencePiece BPE (Llama 2), with what added_tokens.json puts behind it
A folder with both is of the second kind, unless its tokenizer.json is byte-level.

A token that was added is a control token if the tokenizer calls it special, and user-defined if not (as AnLLM's <AC>):
text that spells a user-defined one becomes that token, and no text becomes a control token.
"""
import dataclasses
import json
import os

from gguf import TokenType
from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2

from hf_weights import FolderError, read_json

# How a byte-level tokenizer cuts text before it merges, by its GGUF name: the steps as tokenizer.json has them, without
# the last one, which spells bytes; a step of ByteLevel that also cuts says so here.
_DIGITS = {"type": "Digits", "individual_digits": True}
_CUT = {"type": "ByteLevel cuts"}


def _split(digits):
    regex = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits +
             r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


_PRE_TOKENIZERS = {
    "gpt-2": [_CUT],
    "smollm": [_DIGITS, _CUT],
    "llama-bpe": [_split(r"\p{N}{1,3}")],
    "qwen2": [_split(r"\p{N}")],
}

# Of added tokens, which take part in no merge; llama.cpp's converter writes the same.
_ADDED_SCORE = -1000.0


@dataclasses.dataclass
class Vocabulary:
    model: str  # tokenizer.ggml.model: "gpt2" (byte-level BPE) or "llama" (SentencePiece)
    pre: str  # tokenizer.ggml.pre
    tokens: list  # spellings, by id
    types: list  # TokenType, by id
    scores: list | None = None  # SentencePiece, by id
    merges: list | None = None  # byte-level, "left right" in order of rank
    ids: dict = dataclasses.field(default_factory=dict)  # of "bos", "eos", "eot", "eom", "unk", "pad", where known
    add_bos: bool = False
    add_eos: bool = False
    add_space_prefix: bool | None = None  # SentencePiece
    chat_template: str | None = None

    def find(self, spelling):
        """The id of the token with this spelling, bytes of SentencePiece's byte fallback aside; None if there is none."""
        for token_id, token in enumerate(self.tokens):
            if token == spelling and self.types[token_id] not in (TokenType.BYTE, TokenType.UNUSED):
                return token_id
        return None


def read_vocabulary(folder, config, rows):
    """`rows`: of the embedding, each of which gets a token: ids that have none (padding) become unused tokens."""
    settings = _Settings(folder, config)
    tokenizer = read_json(folder, "tokenizer.json")
    sentencepiece_file = os.path.join(folder, "tokenizer.model")
    if tokenizer and (_is_byte_level(tokenizer) or not os.path.exists(sentencepiece_file)):
        vocabulary = _read_byte_level(os.path.join(folder, "tokenizer.json"), tokenizer, settings, rows)
    elif os.path.exists(sentencepiece_file):
        vocabulary = _read_sentencepiece(sentencepiece_file, settings, rows)
    else:
        raise FolderError(f"{folder}: no vocabulary; supported are tokenizer.json (byte-level BPE) and tokenizer.model "
                          "(SentencePiece)")
    for name in ("bos", "eos", "unk", "pad"):
        token_id = settings.token_id(name, vocabulary)
        if token_id is not None:
            vocabulary.ids[name] = token_id
    for token_id in settings.end_ids():
        if token_id != vocabulary.ids.get("eos"):
            # GGUF has a key for the end of a turn and one for that of a message.
            is_message = 0 <= token_id < rows and vocabulary.tokens[token_id] == "<|eom_id|>"
            vocabulary.ids.setdefault("eom" if is_message else "eot", token_id)
    for name, token_id in vocabulary.ids.items():
        if not 0 <= token_id < rows:
            raise FolderError(f"{folder}: {name} token: id {token_id} is not below the vocabulary's size, {rows}")
    if vocabulary.add_bos and "bos" not in vocabulary.ids:
        raise FolderError(f"{folder}: add_bos_token is true, but there is no bos_token")
    vocabulary.chat_template = settings.chat_template()
    return vocabulary


class _Settings:
    """What the small JSON files say of the tokenizer; a field that says nothing is looked up in the next file."""

    def __init__(self, folder, config):
        self.folder = folder
        self.config = config
        self.generation = read_json(folder, "generation_config.json")
        self.tokenizer = read_json(folder, "tokenizer_config.json")
        self.special_tokens = read_json(folder, "special_tokens_map.json")

    def spelling(self, name):
        """Of the bos, eos, unk or pad token; old folders have empty ones."""
        for file in (self.tokenizer, self.special_tokens):
            value = file.get(f"{name}_token")
            text = value.get("content") if isinstance(value, dict) else value
            if text:
                return text
        return None

    def token_id(self, name, vocabulary):
        spelling = self.spelling(name)
        token_id = vocabulary.find(spelling) if spelling else None
        if token_id is None:
            token_id = vocabulary.ids.get(name)
        if token_id is None:
            token_id = self.config.get(f"{name}_token_id")
            token_id = token_id[0] if isinstance(token_id, list) else token_id
            return token_id if token_id is not None and token_id >= 0 else None  # old folders say -1 for none
        return token_id

    def end_ids(self):
        ids = self.generation.get("eos_token_id", self.config.get("eos_token_id"))
        return ids if isinstance(ids, list) else [] if ids is None else [ids]

    def added(self):
        """{id: (spelling, is special)} of the tokens that the folder's settings add."""
        specials = {self.spelling(name) for name in ("bos", "eos", "unk", "pad")}
        for value in self.special_tokens.get("additional_special_tokens", []):
            specials.add(value["content"] if isinstance(value, dict) else value)
        found = {}
        for spelling, token_id in read_json(self.folder, "added_tokens.json").items():
            found[token_id] = (spelling, spelling in specials)
        for token_id, token in self.tokenizer.get("added_tokens_decoder", {}).items():
            found[int(token_id)] = (token["content"], token.get("special", False) or token["content"] in specials)
        return found

    def chat_template(self):
        path = os.path.join(self.folder, "chat_template.jinja")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return file.read()
        template = self.tokenizer.get("chat_template")
        if isinstance(template, list):  # several with names
            template = next((entry["template"] for entry in template if entry["name"] == "default"), None)
        return template


def _lay_out(path, base, added, rows):
    """The spellings and types of ids 0 to rows - 1, from {id: (spelling, type)} and {id: (spelling, is special)}."""
    tokens = dict(base)
    for token_id, (spelling, is_special) in added.items():
        known, token_type = tokens.get(token_id, (spelling, TokenType.NORMAL))
        if known != spelling:
            raise FolderError(f"{path}: token {token_id} is '{known}', and is added once more as '{spelling}'")
        if token_type == TokenType.NORMAL:
            tokens[token_id] = (spelling, TokenType.CONTROL if is_special else TokenType.USER_DEFINED)
    if max(tokens, default=-1) >= rows:
        raise FolderError(f"{path}: token {max(tokens)} ('{tokens[max(tokens)][0]}') is beyond the embedding's {rows} rows")
    laid_out = [tokens.get(token_id, (f"[UNUSED{token_id}]", TokenType.UNUSED)) for token_id in range(rows)]
    return [spelling for spelling, _ in laid_out], [token_type for _, token_type in laid_out]


def _steps(part):
    """A pre-tokenizer, post-processor or normalizer as the list of its steps."""
    if not part:
        return []
    return part.get("pretokenizers") or part.get("processors") or part.get("normalizers") or [part]


def _is_byte_level(tokenizer):
    return any(step["type"] == "ByteLevel" for step in _steps(tokenizer.get("pre_tokenizer")))


def _pre_tokenizer(path, tokenizer):
    steps = _steps(tokenizer["pre_tokenizer"])
    last = steps[-1]
    if last["type"] == "ByteLevel" and not last.get("add_prefix_space", True):
        plain = steps[:-1] + ([_CUT] if last.get("use_regex", True) else [])
        for name, known in _PRE_TOKENIZERS.items():
            if plain == known:
                return name
    raise FolderError(f"{path}: pre_tokenizer: this one is not supported: {json.dumps(steps)}; supported are those of "
                      f"{', '.join(_PRE_TOKENIZERS)}")


def _read_byte_level(path, tokenizer, settings, rows):
    model = tokenizer.get("model", {})
    if model.get("type", "BPE") != "BPE" or not _is_byte_level(tokenizer):
        raise FolderError(f"{path}: only byte-level BPE is supported as tokenizer.json; a SentencePiece vocabulary needs "
                          "its tokenizer.model")
    pre = _pre_tokenizer(path, tokenizer)
    # GGUF has no place for a normalizer. Qwen2's is NFC, which leaves nearly all text as it is.
    normalizers = [step["type"] for step in _steps(tokenizer.get("normalizer"))]
    if normalizers and not (pre == "qwen2" and normalizers == ["NFC"]):
        raise FolderError(f"{path}: normalizer: {', '.join(normalizers)} is not supported; supported: none")

    added = {token["id"]: (token["content"], token.get("special", False)) for token in tokenizer.get("added_tokens", [])}
    for token_id, (spelling, is_special) in settings.added().items():
        added[token_id] = (spelling, is_special or added.get(token_id, ("", False))[1])
    base = {token_id: (spelling, TokenType.NORMAL) for spelling, token_id in model["vocab"].items()}
    tokens, types = _lay_out(path, base, added, rows)
    vocabulary = Vocabulary(model="gpt2", pre=pre, tokens=tokens, types=types,
                            merges=[merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    vocabulary.add_bos = settings.tokenizer.get("add_bos_token")
    if vocabulary.add_bos is None:
        vocabulary.add_bos = _template_begins_with(tokenizer, settings.spelling("bos"))
    vocabulary.add_eos = bool(settings.tokenizer.get("add_eos_token"))
    return vocabulary


def _template_begins_with(tokenizer, spelling):
    """Whether the post-processor puts this special token before a text."""
    for step in _steps(tokenizer.get("post_processor")):
        if step["type"] == "TemplateProcessing" and step["single"]:
            return step["single"][0].get("SpecialToken", {}).get("id") == spelling
    return False


def _read_sentencepiece(path, settings, rows):
    model = sentencepiece_model_pb2.ModelProto()
    try:
        with open(path, "rb") as file:
            model.ParseFromString(file.read())
    except DecodeError as error:
        raise FolderError(f"{path}: not a SentencePiece model: {error}") from error
    if not model.pieces:
        raise FolderError(f"{path}: not a SentencePiece model: it has no pieces")
    if model.trainer_spec.model_type != sentencepiece_model_pb2.TrainerSpec.BPE:
        raise FolderError(f"{path}: model_type: only BPE is supported")
    if model.normalizer_spec.precompiled_charsmap:
        raise FolderError(f"{path}: normalizer '{model.normalizer_spec.name}' is not supported; supported: identity")
    # Both number the types in the same way.
    base = {token_id: (piece.piece, TokenType(piece.type)) for token_id, piece in enumerate(model.pieces)}
    tokens, types = _lay_out(path, base, settings.added(), rows)
    scores = [piece.score for piece in model.pieces]
    vocabulary = Vocabulary(model="llama", pre="default", tokens=tokens, types=types,
                            scores=scores + [_ADDED_SCORE] * (rows - len(scores)),
                            add_space_prefix=model.normalizer_spec.add_dummy_prefix)
    spec = model.trainer_spec
    vocabulary.ids = {name: token_id for name, token_id in (("bos", spec.bos_id), ("eos", spec.eos_id),
                                                            ("unk", spec.unk_id)) if token_id >= 0}
    # The slow LlamaTokenizer's defaults.
    vocabulary.add_bos = bool(settings.tokenizer.get("add_bos_token", True))
    vocabulary.add_eos = bool(settings.tokenizer.get("add_eos_token", False))
    return vocabulary
