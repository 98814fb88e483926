"""Trains an adapter that teaches a Llama to read under an anchor policy. Stop it and start it as you like: it goes on.

Each row of a batch is read under one policy of MIX: mostly the strict one, some with sinks and a recent window, some in
full, so that one adapter serves all three. Everything random is a function of (seed, step), hence a run that was
interrupted takes the same steps as one that was not. In the run's directory: `checkpoint.pt` and `log.jsonl`.
Tested by train_test.py.
"""

import argparse
import json
import math
import os
import random
import signal
import time

import numpy as np
import torch

import adapter
import policy
from model import GgufModelFile
from vocabulary import Vocabulary

STRICT = "anchors=sentence"
WINDOW = "anchors=sentence,sinks=4,recent=64,view=all"
FULL = "full"
MIX = {STRICT: 0.6, WINDOW: 0.3, FULL: 0.1}  # share of the rows


class Rows:
    """A stream of ids cut into rows of `context`, in a new order and from a new offset each time round."""

    def __init__(self, ids, context, seed):
        self._ids, self._context, self._seed = ids, context, seed
        self._count = (len(ids) - context) // context  # leaves room for the offset
        if self._count < 1:
            raise ValueError(f"{len(ids)} tokens are too few for rows of {context}")
        self._order = (None, None, None)  # epoch, offset, permutation

    def row(self, index):
        epoch, place = divmod(index, self._count)
        if self._order[0] != epoch:
            generator = np.random.default_rng([self._seed, epoch])
            self._order = (epoch, generator.integers(self._context), generator.permutation(self._count))
        begin = self._order[1] + self._order[2][place] * self._context
        return self._ids[begin:begin + self._context].astype(np.int64)


class Data:
    """Rows of documentation, mixed with rows of the model's own text as soon as that file is there."""

    def __init__(self, flags):
        self._flags = flags
        with np.load(flags.corpus) as arrays:
            self._documents = Rows(arrays["train"], flags.context, flags.seed)
            self.held_out = arrays["held_out"]
        self._sampled, self._sampled_changed = None, None

    def batch(self, step, taken):
        """ids [rows, context] and the policy texts of the rows; counts in `taken` what was read of each source."""
        self._look_for_sampled()
        chance = random.Random(f"{self._flags.seed} {step}")
        rows, policies = [], []
        for _ in range(self._flags.rows):
            sampled = chance.random() < self._flags.sampled_share and self._sampled is not None
            source, name = (self._sampled, "sampled") if sampled else (self._documents, "documents")
            rows.append(source.row(taken[name]))
            taken[name] += 1
            policies.append(chance.choices(list(MIX), list(MIX.values()))[0])
        return torch.from_numpy(np.stack(rows)), policies

    def _look_for_sampled(self):
        path = self._flags.sampled
        if path and os.path.exists(path) and os.path.getmtime(path) != self._sampled_changed:
            self._sampled_changed = os.path.getmtime(path)
            with np.load(path) as arrays:
                ids = arrays["train"]
            if len(ids) >= 2 * self._flags.context:
                self._sampled = Rows(ids, self._flags.context, self._flags.seed + 1)


class Trainer:
    """A model, its optimizer and where the run stands. Owned by one thread."""

    def __init__(self, llama, sentence_ids, opener, data, flags):
        """sentence_ids: what `anchors=sentence` stands for; opener: ids with which the chat template opens an answer."""
        self.llama, self.sentence_ids, self.opener, self.data, self.flags = llama, sentence_ids, opener, data, flags
        self.optimizer = torch.optim.AdamW(llama.parameters(), lr=flags.lr, betas=(0.9, 0.99), weight_decay=0.0)
        self.step, self.tokens, self.taken = 0, 0, {"documents": 0, "sampled": 0}
        self.llama.merge()

    def rate(self):
        """Learning rate: a short warm-up, then a cosine down to a tenth at the planned end, and that from there on."""
        warm = min(1.0, (self.step + 1) / self.flags.warmup)
        done = min(1.0, self.tokens / self.flags.tokens)
        return self.flags.lr * warm * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))

    def advance(self):
        """One step. Returns the mean loss of each policy that the batch had."""
        ids, policies = self.data.batch(self.step, self.taken)
        losses = self.llama.losses(ids, self._bias(ids, policies))  # [rows, tokens - 1]
        losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(self.llama.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.llama.merge()
        self.step += 1
        self.tokens += ids.numel()
        by_row = losses.detach().mean(dim=1)
        return {text: float(torch.stack([loss for loss, row in zip(by_row, policies) if row == text]).mean())
                for text in MIX if text in policies}

    @torch.no_grad()
    def held_out_loss(self, text):
        """Mean nats of the second halves of fixed rows of held-out text under a policy."""
        rows = held_out_rows(self.data.held_out, self.flags.context, self.flags.eval_rows)
        losses = []
        for ids in rows.split(self.flags.rows):
            bias = self._bias(ids, [text] * len(ids))
            losses.append(self.llama.losses(ids, bias, first=self.flags.context // 2))
        return float(torch.cat(losses).double().mean())

    def _bias(self, ids, policies):
        return policy.attention_bias(ids, [policy.parse(text) for text in policies], self.sentence_ids, self.opener)

    def save(self, path):
        state = {"factors": [parameter.detach() for parameter in self.llama.parameters()], "rank": self.llama.rank,
                 "alpha": self.llama.alpha, "optimizer": self.optimizer.state_dict(), "step": self.step,
                 "tokens": self.tokens, "taken": self.taken}
        torch.save(state, path + ".part")
        os.replace(path + ".part", path)

    def load(self, path):
        state = torch.load(path, weights_only=True)
        if (state["rank"], state["alpha"]) != (self.llama.rank, self.llama.alpha):
            raise ValueError(f"{path} is of rank {state['rank']} and alpha {state['alpha']}")
        self.llama.set_factors(state["factors"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.tokens, self.taken = state["step"], state["tokens"], state["taken"]


def held_out_rows(ids, context, count):
    """`count` rows spread evenly over held-out ids: [count, context]."""
    begins = np.linspace(0, len(ids) - context, count).astype(int)
    return torch.from_numpy(np.stack([ids[begin:begin + context].astype(np.int64) for begin in begins]))


class Log:
    """One JSON object a line, appended; what a person wants to see goes to standard output as well."""

    def __init__(self, path):
        self._path = path

    def write(self, **entry):
        entry = {key: round(value, 5) if isinstance(value, float) else value for key, value in entry.items()}
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        print(" ".join(f"{key}={value}" for key, value in entry.items()), flush=True)


def evaluate(trainer, log, kind):
    losses = {text: trainer.held_out_loss(text) for text in MIX}
    log.write(kind=kind, step=trainer.step, tokens=trainer.tokens, time=int(time.time()), **losses)


def run(trainer, flags):
    """Until the tokens are reached (with --stop) or a signal comes; both end with a checkpoint."""
    stopping = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.append(True))
    checkpoint = os.path.join(flags.run, "checkpoint.pt")
    log = Log(os.path.join(flags.run, "log.jsonl"))
    if os.path.exists(checkpoint):
        trainer.load(checkpoint)
        print(f"goes on from step {trainer.step}, {trainer.tokens} tokens", flush=True)
    else:
        evaluate(trainer, log, "base")  # B is zero, or what --adapter brought: this is where the run begins
        trainer.save(checkpoint)
    saved = time.monotonic()
    while not stopping and not (flags.stop and trainer.tokens >= flags.tokens):
        begin, before = time.monotonic(), trainer.tokens
        losses = trainer.advance()
        seconds = time.monotonic() - begin
        log.write(kind="step", step=trainer.step, tokens=trainer.tokens, rate=trainer.rate(),
                  tokens_per_second=round((trainer.tokens - before) / seconds), **losses)
        if trainer.tokens // flags.eval_every != before // flags.eval_every:
            evaluate(trainer, log, "held_out")
        if time.monotonic() - saved > flags.save_every:
            trainer.save(checkpoint)
            saved = time.monotonic()
    trainer.save(checkpoint)


def parse_flags(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="GGUF file of the base model")
    parser.add_argument("--corpus", required=True, help="tokens of the documents (corpus.py)")
    parser.add_argument("--sampled", help="tokens of the model's own text (sample.py); taken up once it is there")
    parser.add_argument("--sampled_share", type=float, default=0.25, help="share of the rows")
    parser.add_argument("--adapter", help="GGUF adapter to begin with, of the same rank, where there is no checkpoint yet")
    parser.add_argument("--run", required=True, help="directory of the checkpoint and the log")
    parser.add_argument("--tokens", type=int, default=1_500_000, help="planned length: where the rate reaches its floor")
    parser.add_argument("--stop", action="store_true", help="end there, rather than go on at the floor")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=20, help="steps")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--alpha", type=float, default=32.0, help="an update counts alpha / rank times")
    parser.add_argument("--context", type=int, default=512, help="tokens of a row")
    parser.add_argument("--rows", type=int, default=4, help="rows of a step")
    parser.add_argument("--eval_every", type=int, default=100_000, help="tokens between evaluations")
    parser.add_argument("--eval_rows", type=int, default=24)
    parser.add_argument("--save_every", type=float, default=180, help="seconds between checkpoints")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


def main():
    flags = parse_flags()
    torch.set_num_threads(flags.threads)
    os.makedirs(flags.run, exist_ok=True)
    file = GgufModelFile(flags.model)
    vocabulary = Vocabulary(file.metadata)
    llama = file.load(rank=flags.rank, alpha=flags.alpha, seed=flags.seed)
    trainer = Trainer(llama, vocabulary.sentence_ids(), vocabulary.answer_opener(), Data(flags), flags)
    if flags.adapter:
        adapter.read(flags.adapter, llama)
        llama.merge()
    run(trainer, flags)


if __name__ == "__main__":
    main()
