import json
import os
import unittest

from vocabulary import Vocabulary

MODEL = os.environ.get("KEDGE_MODEL", "")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# A vocabulary of single characters and a few pairs.
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", ".", "!", "\"", "a", "Ġ", "Ċ", ",", "1", "2", ".\"", "Ġ.", "ĊĠ", "a.",
          ";Ċ", "!=", "/.", "č", ".)"]
METADATA = {
    "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [3, 3, 3] + [1] * (len(TOKENS) - 3),
    "tokenizer.ggml.merges": [". \"", "Ġ .", "Ċ Ġ", "a ."], "tokenizer.ggml.eos_token_id": 2,
}


class VocabularyTest(unittest.TestCase):
    def test_sentence_set(self):
        vocabulary = Vocabulary(METADATA.get)
        names = [TOKENS[id] for id in vocabulary.sentence_ids()]
        self.assertEqual(names, ["<|endoftext|>", "<|im_end|>", ".", "!", "Ċ", ".\"", "Ġ.", "ĊĠ", "a.", ";Ċ", "č", ".)"])

    def test_spellings_of_special_tokens_are_plain_text(self):
        vocabulary = Vocabulary(METADATA.get)
        self.assertEqual(vocabulary.encode("12"), [10, 11])
        self.assertNotIn(2, vocabulary.encode("a.<|im_end|>"))
        self.assertEqual(vocabulary.special("<|im_end|>"), 2)

    def test_unknown_kinds_are_refused(self):
        with self.assertRaisesRegex(ValueError, "llama"):
            Vocabulary({**METADATA, "tokenizer.ggml.model": "llama"}.get)

    @unittest.skipUnless(MODEL, "KEDGE_MODEL does not name the default model")
    def test_default_model_equals_the_servers_tokenizer(self):
        from model import GgufModelFile
        vocabulary = Vocabulary(GgufModelFile(MODEL).metadata)
        with open(os.path.join(ROOT, "common/tokenizer/testdata/smollm2_vectors.json"), encoding="utf-8") as file:
            for case in json.load(file)["texts"]:
                self.assertEqual(vocabulary.encode(case["text"]), case["ids"], case["text"])
        self.assertEqual(len(vocabulary.sentence_ids()), 240)
        self.assertEqual(vocabulary.answer_opener(), [1, 520, 9531, 198])


if __name__ == "__main__":
    unittest.main()
