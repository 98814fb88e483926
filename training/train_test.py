import json
import os
import tempfile
import unittest

import numpy as np
import torch

import tiny
import train

SENTENCE_IDS = [7, 8]


class TrainTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        # A text with something to learn: each token follows from the one before it, mostly.
        chance = np.random.default_rng(5)
        ids = [1]
        for _ in range(6000):
            ids.append((ids[-1] * 5 + 3) % tiny.VOCAB if chance.random() < 0.9 else int(chance.integers(tiny.VOCAB)))
        np.savez(self.path("corpus.npz"), train=np.array(ids[:5000], np.uint16), held_out=np.array(ids[5000:], np.uint16))

    def path(self, name):
        return os.path.join(self.folder, name)

    def trainer(self, *arguments):
        flags = train.parse_flags(["--model", "none", "--corpus", self.path("corpus.npz"), "--run", self.folder,
                                   "--context", "32", "--rows", "4", "--warmup", "2", "--lr", "1e-2", "--eval_rows", "8",
                                   *arguments])
        return train.Trainer(tiny.llama(), SENTENCE_IDS, [], train.Data(flags), flags)

    def test_learns_under_every_policy(self):
        trainer = self.trainer()
        before = {text: trainer.held_out_loss(text) for text in train.MIX}
        for _ in range(60):
            trainer.advance()
        for text, loss in before.items():
            self.assertLess(trainer.held_out_loss(text), loss - 0.5, text)

    def test_a_run_that_was_stopped_takes_the_same_steps(self):
        whole, first, second = self.trainer(), self.trainer(), self.trainer()
        for _ in range(6):
            whole.advance()
        for _ in range(3):
            first.advance()
        first.save(self.path("checkpoint.pt"))
        second.load(self.path("checkpoint.pt"))
        for _ in range(3):
            second.advance()
        self.assertEqual((whole.step, whole.tokens, whole.taken), (second.step, second.tokens, second.taken))
        for mine, theirs in zip(whole.llama.parameters(), second.llama.parameters()):
            self.assertTrue(torch.equal(mine, theirs))

    def test_run_logs_evaluates_and_goes_on(self):
        arguments = ["--stop", "--tokens", "512", "--eval_every", "256"]
        for tokens in ("512", "1024"):
            trainer = self.trainer(*arguments, "--tokens", tokens)
            train.run(trainer, trainer.flags)
        with open(self.path("log.jsonl"), encoding="utf-8") as file:
            entries = [json.loads(line) for line in file]
        self.assertEqual([entry["tokens"] for entry in entries if entry["kind"] == "step"], [128 * n for n in range(1, 9)])
        self.assertEqual([entry["tokens"] for entry in entries if entry["kind"] == "held_out"], [256, 512, 768, 1024])
        self.assertEqual([entry["tokens"] for entry in entries if entry["kind"] == "base"], [0])

    def test_sampled_text_is_taken_up_once_it_is_there(self):
        trainer = self.trainer("--sampled", self.path("sampled.npz"), "--sampled_share", "0.5")
        trainer.advance()
        self.assertEqual(trainer.taken, {"documents": 4, "sampled": 0})
        np.savez(self.path("sampled.npz"), train=np.arange(640, dtype=np.uint16) % tiny.VOCAB)
        for _ in range(10):
            trainer.advance()
        self.assertGreater(trainer.taken["sampled"], 5)
        self.assertEqual(sum(trainer.taken.values()), 44)

    def test_rows_cover_the_text_once_a_round(self):
        rows = train.Rows(np.arange(100, dtype=np.uint16), 10, seed=3)
        first = sorted(rows.row(index)[0] for index in range(9))
        self.assertEqual(np.diff(first).tolist(), [10] * 8)
        self.assertNotEqual([rows.row(index)[0] for index in range(9)], [rows.row(index)[0] for index in range(9, 18)])


if __name__ == "__main__":
    unittest.main()
