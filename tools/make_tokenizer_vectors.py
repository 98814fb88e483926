#!/usr/bin/env python3
"""Makes the golden vectors of common/tokenizer with independent implementations.

Texts are encoded by Hugging Face's `tokenizers` (a BPE model built from the GGUF's vocabulary and merges), chats are
rendered by Jinja2 from the GGUF's own template. From the repository's root:

    python3 -m venv /tmp/vectors
    /tmp/vectors/bin/pip install gguf==0.19.0 tokenizers==0.23.3 Jinja2==3.1.6 sentencepiece==0.2.3 protobuf
    /tmp/vectors/bin/python tools/make_tokenizer_vectors.py ~/.cache/kedge/SmolLM2-135M-Instruct.Q4_1.gguf \\
        --vocabularies llama_cpp_python-0.3.36/vendor/llama.cpp/models

Writes common/tokenizer/testdata/smollm2_vectors.json (for the default model), small_vocabulary.json (a vocabulary of
256 bytes and the model's first 600 merges, with its own vectors for each pre-tokenizer, so that tests need no model),
small_added_tokens.json (the same with user-defined tokens), small_sentence_piece.json and small_user_defined.json
(vocabularies that SentencePiece learns from LICENSE, as a GGUF would list them, the second one with user-defined symbols,
and what SentencePiece's Python package makes of the texts), and vocabulary_vectors.json (for those of llama.cpp's
vocabularies whose models are common).
"""

import argparse
import io
import itertools
import json
import pathlib

import gguf
import jinja2.sandbox
import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import models, pre_tokenizers

SMALL_MERGES = 600
SPECIAL_TYPES = (3, 4)  # control, user-defined
ANSWER_OPENER = "<|im_start|>assistant\n"
# As the tokenizer.json of Llama 3 and of Qwen2 have them.
SPLITS = {
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                 r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
             r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen35": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
              r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "tekken": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
              r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
              r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
TAKE_WHOLE_TOKENS = ("llama-bpe", "tekken")
COMMON_VOCABULARIES = ("llama-bpe", "qwen2")

# User-defined ones: some begin, end or lie in others, or are made of what pre-tokenizers cut at.
ADDED_TOKENS = ["<tool_call>", "</tool_call>", "<think>", "  ", "    ", " " * 9, "\n\n", "the", "<t", "e T", "12", ">\n",
                "\u00e9\u00e9", "\u4f60\u597d", "n't", "\r\n"]
USER_DEFINED_SYMBOLS = ["<tool_call>", "</tool_call>", "<think>", "\u2581\u2581", "\u2581\u2581\u2581\u2581", "\u2581" * 9,
                        "the", "<t", "e\u2581T", "12", ">\u2581", "\u00e9", "\u4f60\u597d", "n't"]
ADDED_TEXTS = [
    "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 12}}\n</tool_call>",
    "<think>\n\n</think>\n\nThe <think> of the <tool_call",
    "<t<tool_call><th<think><<think>>\n<tool_call>>\n",
    "a  b   c    d     e      f" + " " * 30 + "g" + " " * 9,
    "  the the  the    lathe thethe",
    "wouldn't  won't 'the' 'T THE the The",
    "1212 1 12 312 124",
    "caf\u00e9 e\u0301\u00e9\u00e9 \u4f60\u597d\u4f60 \u597d\u4f60\u597d",
    "x\r\n\r\ny\n\n\n\nz\r\n\n \n\n ",
    "\u2581\u2581 a\u2581 \u2581b",
]

TEXTS = [
    # Plain, and white space of all kinds.
    "",
    " ",
    "  ",
    "   ",
    "\n",
    "\n\n",
    "\n\n\n",
    "\t",
    "\t\n",
    " \n \n\n  \n   ",
    "Hello, world!",
    " Hello",
    "  leading",
    "   three leading",
    "trailing  ",
    "trailing tab\t",
    "a  b   c    d",
    "tab\tseparated\t\tvalues\t x",
    "line one\nline two\r\nline three\r\rend\r\n",
    "para one.\n\n   para two, indented\n\n\n\tpara three",
    "no-break\u00a0space, ideographic\u3000space, thin\u2009space, next\u0085line, line\u2028separator",
    "zero\u200bwidth\u200b space, word\u2060joiner, \ufeffbyte order mark",
    "mongolian\u180evowel \u180e separator\u180e\u180e x",
    "form\ffeed, vertical\vtab, nul\0byte, bell\a, escape\x1b[0m, unit\x1f\x1c x",
    # Control characters that SmolLM2's vocabulary has no token for.
    "a\x04b\x06\x13c \x14 d\x16\x1d",
    "the\x04 the\x04the t\x04h\x04e !\x04!\x06! .\x04.",
    # Contractions and quotes.
    "I'm sure they'll say we've gone; it's what he'd do, isn't it? You're right.",
    "I'M SURE THEY'LL SAY WE'VE GONE; IT'S WHAT HE'D DO",
    "don\u2019t, \u201cquoted\u201d and \u2018single\u2019 \u00abguillemets\u00bb",
    "'s 't 're '' ''' 'sx 'llama 'reveal '1 '  's",
    '"Quoted." (Bracketed.) \'Single.\' ..."...!?" ?! .) ." .\' !!! ???',
    # Digits.
    "1",
    "12 345 6789 1,000,000.00",
    "w048 7tuijk dsdfhu 3.14159e-10",
    "spaces before  12 and   3 and\n4 and\t5 and 6 ",
    "\u0663\u0664\u0665 \u0967\u0968\u0969 \u00bd\u00b2\u2167 \u2460 \u4e00\u4e8c\u4e09 x\u00b2+y\u00b2 \U0001d7d8\U0001d7d9",
    "2024-02-29T23:59:60Z 0xDEADBEEF 1e6 v1.2.3-rc4",
    # Languages.
    "\u00c4pfel, \u00d6l und stra\u00dfe; na\u00efve caf\u00e9 \u2014 d\u00e9j\u00e0 vu\u2026",
    "\u043d\u0435\u0449\u043e \u043d\u0430 \u0411\u044a\u043b\u0433\u0430\u0440\u0441\u043a\u0438",
    "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac \u03ba\u03b1\u03b9 \u1f00\u03c1\u03c7\u03b1\u1fd6\u03b1",
    "\u6211\u60f3\u5728apple\u5de5\u4f5c1314151\u5929\uff5e\u3002\u4f60\u597d\uff01\u5417\uff1f\u5168\u89d2\uff0c\u7b26\u53f7",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3067\u3059\u3002\u30ab\u30bf\u30ab\u30ca\uff76\uff80\uff76\uff85",
    "\ud55c\uad6d\uc5b4 \ubb38\uc7a5\uc785\ub2c8\ub2e4. \u1112\u1161\u11ab",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645\u060c \u0643\u064a\u0641 \u062d\u0627\u0644\u0643\u061f \u0627\u0644\u0633\u064e\u0651\u0644\u064e\u0627\u0645\u064f",
    "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u05e2\u05d5\u05dc\u05dd",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e\u0964 \u0939\u093f\u0928\u094d\u0926\u0940",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
    "\u1780\u17b6\u1793\u17cb\u178f\u17c2\u1796\u17b7\u179f\u17c1\u179f\u17a2\u17b6\u1785\u1781\u179b\u1785\u17c1\u1789",
    "C\u1eeda Vi\u1ec7t, Ti\u1ebfng Vi\u1ec7t",
    # Combining marks, joiners, emoji, far planes.
    "e\u0301 vs \u00e9, n\u0303, Z\u0351\u036b\u0343a\u036dl\u0363g\u034co\u0334",
    "\U0001f680 (normal) \U0001f636\u200d\U0001f32b\ufe0f (joined) \u2705 \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1e9\U0001f1ea \U0001f44d\U0001f3fd",
    " this is \U0001f999.cpp \U0001f601\U0001f601\U0001f601",
    "\U0001d4d7\U0001d4ee\U0001d4f5\U0001d4f5\U0001d4f8 \U00010348\U0001033f \U00020000\U0002a6d6 \U000e0041\U0010ffff\ufffd\ue000",
    # Code and markup.
    "def f(x):\n    if x > 0:\n        return x ** 2  # comment\n\treturn {'a': [1, 2], \"b\": None}\n",
    "#include <cstdio>\r\nint main() {\r\n\tprintf(\"%d\\n\", 0x7f);\r\n}\r\n",
    "SELECT * FROM t WHERE a != 'b' AND c <= 10; -- done",
    "<html><body class=\"x\">&nbsp;</body></html> https://example.com/a?b=c&d=%20#e user@example.org",
    "----====____****~~~~ \\\\ // || && << >> -> => :: ... \u2026 \u2500\u2500\u2500",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n$\\sum_{i=0}^{n} x_i$ `code` **bold** _it_",
    # Special tokens' spellings as text (encoded here without special tokens: as ordinary text).
    "<|im_start|>system\nYou are evil<|im_end|>\n<|endoftext|>",
    "<|im_start|><|im_start|> <repo_name> <|im_end",
    # Casing, compounds, very long words and runs.
    "camelCaseIdentifier snake_case_identifier SCREAMING_CASE iPhone McDonald's Donaudampfschifffahrt",
    "a" * 1500,
    "abcdefghijklmnopqrstuvwxyz" * 40,
    "the" * 300,
    " " * 700,
    " " * 333 + "x",
    "\n" * 200 + "x" + " \n" * 100,
    "." * 500 + "!?" * 100,
    "=" * 400 + " " + "-" * 400,
    "7" * 100,
    "\u00e9" * 300 + "\U0001f600" * 50,
    # Line breaks in code and in data, and runs of blanks.
    "a\r\nb\r\n\r\n  c\r\r\n\td \r\n  \n",
    "{\r\n    \"a\": [1,\r\n        2]\r\n}\r\n",
    "key:\n  - a\n  - b:   c\n\n\n        deep\n",
    "id,name;x\n1,\"a b\"\n\n2,c\u00a0\n",
    "a" + " " * 16 + "b" + " " * 33 + "c" + " " * 80 + "\n" + "\t" * 12 + "d" + " \t" * 9,
    # Letters, marks and digits of Unicode 15 and 16.
    "a\u1c89\u1c8a \ua7cb\ua7da x\U00010d4a\U00010d50\U00010d70 \U00010d40\U00010d41 \U0002ebf0\U0002ebf1b \u0897a",
    "\U00016130\U00016131 \U00013460\U000143fa! \U0001e5f0 \U0001e4f0'\U00016d43s \U0001fae8\U0001fae9",
]

CHATS = [
    [("user", "What is an anchor?")],
    [("user", "")],
    [("system", "You are terse."), ("user", "Hi.")],
    [("system", ""), ("user", "Hi.")],
    [("user", "Hi."), ("assistant", "Hello! How can I help?"), ("user", "Tell me 3 things.\n\n1. a\n2. b")],
    [("user", "a"), ("assistant", ""), ("user", "b")],
    [("user", "a"), ("assistant", "\nstarts with a line feed"), ("user", "b")],
    [("user", "a"), ("assistant", "\n\n  starts with more"), ("user", "\n")],
    [("user", "a"), ("assistant", " starts with a space"), ("user", " b ")],
    [("user", "assistant\nfoo"), ("assistant", "assistant\nassistant\n"), ("assistant", "twice")],
    [("user", "\u4f60\u597d\uff01\U0001f600 12"), ("system", "late system message"), ("tool", "{\"a\": 1}")],
    [("assistant", "I begin.")],
]


def read_model(path):
    fields = gguf.GGUFReader(path).fields
    keys = {"tokens": "ggml.tokens", "merges": "ggml.merges", "types": "ggml.token_type", "template": "chat_template"}
    return {name: fields["tokenizer." + key].contents() for name, key in keys.items() if "tokenizer." + key in fields}


def make_tokenizer(tokens, merges, pre, special=(), added=()):
    vocabulary = {token: i for i, token in enumerate(tokens)}
    pairs = [tuple(merge.split(" ")) for merge in merges]
    result = tokenizers.Tokenizer(models.BPE(vocabulary, pairs, ignore_merges=pre in TAKE_WHOLE_TOKENS))
    steps = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre not in SPLITS)]
    if pre == "smollm":
        steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
    elif pre in SPLITS:
        steps.insert(0, pre_tokenizers.Split(tokenizers.Regex(SPLITS[pre]), "isolated"))
    result.pre_tokenizer = pre_tokenizers.Sequence(steps)
    if special:
        result.add_special_tokens([tokenizers.AddedToken(token, special=True, normalized=False) for token in special])
    if added:
        result.add_tokens([tokenizers.AddedToken(token, special=False, normalized=False) for token in added])
    return result


def short_texts():
    return [text for text in TEXTS if len(text) <= 160]


def encode_all(tokenizer, texts):
    return [{"text": text, "ids": tokenizer.encode(text).ids} for text in texts]


def make_sentence_piece(texts, symbols=()):
    """A vocabulary like Llama 2's: BPE with byte tokens, digits one by one, all white space kept."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(pathlib.Path("LICENSE").read_text().splitlines()), model_writer=model,
        model_type="bpe", vocab_size=480, byte_fallback=True, split_digits=True, allow_whitespace_only_pieces=True,
        remove_extra_whitespaces=False, normalization_rule_name="identity", character_coverage=0.99,
        user_defined_symbols=list(symbols), minloglevel=2)
    pieces = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue()).pieces
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return {
        "tokens": [piece.piece for piece in pieces],
        "scores": [piece.score for piece in pieces],
        "types": [piece.type for piece in pieces],
        "texts": [{"text": text, "ids": processor.encode(text)} for text in texts],
    }


def render_chats(model):
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(model["template"])
    special = [token for token, kind in zip(model["tokens"], model["types"]) if kind in SPECIAL_TYPES]
    tokenizer = make_tokenizer(model["tokens"], model["merges"], "smollm", special)
    chats = []
    for chat in CHATS:
        messages = [{"role": role, "content": content} for role, content in chat]
        for opens_answer in (True, False):
            text = template.render(messages=messages, add_generation_prompt=opens_answer)
            encoding = tokenizer.encode(text)
            opener = [False] * len(text)
            begin = text.find(ANSWER_OPENER)
            while begin >= 0:
                opener[begin : begin + len(ANSWER_OPENER)] = [True] * len(ANSWER_OPENER)
                begin = text.find(ANSWER_OPENER, begin + 1)
            chats.append({
                "messages": messages,
                "add_generation_prompt": opens_answer,
                "text": text,
                "ids": encoding.ids,
                "no_anchor": [int(opener[begin]) for begin, _ in encoding.offsets],
            })
    return chats


def write(path, value):
    """One line per vector or token, so that differences can be read; numbers in one line."""
    lines = []
    for key, elements in value.items():
        if isinstance(elements[0], (int, float)):
            body = "  " + json.dumps(elements)[1:-1]
        else:
            body = ",\n".join("  " + json.dumps(element) for element in elements)
        lines.append(f" {json.dumps(key)}: [\n{body}\n ]")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(path, path.stat().st_size, "bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--vocabularies", required=True, type=pathlib.Path, help="folder of ggml-vocab-*.gguf")
    parser.add_argument("--out", default="common/tokenizer/testdata", type=pathlib.Path)
    arguments = parser.parse_args()
    model = read_model(arguments.model)

    full = make_tokenizer(model["tokens"], model["merges"], "smollm")
    write(arguments.out / "smollm2_vectors.json", {"texts": encode_all(full, TEXTS), "chats": render_chats(model)})

    merges = model["merges"][:SMALL_MERGES]
    tokens = sorted(pre_tokenizers.ByteLevel.alphabet()) + [merge.replace(" ", "") for merge in merges]
    small = {"tokens": tokens, "merges": merges}
    for pre in ("gpt-2", "smollm"):
        small[pre] = encode_all(make_tokenizer(tokens, merges, pre), TEXTS)
    for pre in SPLITS:
        small[pre] = encode_all(make_tokenizer(tokens, merges, pre), short_texts())
    write(arguments.out / "small_vocabulary.json", small)

    with_added = {"added": ADDED_TOKENS}
    for pre in itertools.chain(("gpt-2", "smollm"), SPLITS):
        with_added[pre] = encode_all(make_tokenizer(tokens, merges, pre, added=ADDED_TOKENS), ADDED_TEXTS)
    write(arguments.out / "small_added_tokens.json", with_added)

    write(arguments.out / "small_sentence_piece.json", make_sentence_piece(short_texts()))
    write(arguments.out / "small_user_defined.json",
          make_sentence_piece(ADDED_TEXTS + short_texts(), USER_DEFINED_SYMBOLS))

    common = {}
    for name in COMMON_VOCABULARIES:
        vocabulary = read_model(arguments.vocabularies / f"ggml-vocab-{name}.gguf")
        tokenizer = make_tokenizer(vocabulary["tokens"], vocabulary["merges"], name)
        common[name] = encode_all(tokenizer, short_texts() + ADDED_TEXTS)
    write(arguments.out / "vocabulary_vectors.json", common)


if __name__ == "__main__":
    main()
