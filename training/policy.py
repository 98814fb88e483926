"""Which earlier rows a row may see: the visibility rule of an anchor policy, as a dense mask for training.

The text form is that of the servers' flag (`anchors=sentence,sinks=4,recent=64,view=all`); only the keys that matter
when a whole text is one pass are known here. Tested by policy_test.py against a slow loop written from the words.
"""

import dataclasses
import re

import torch

ALL_ROWS = 1 << 30  # recent=all


@dataclasses.dataclass(frozen=True)
class Policy:
    anchors: str = "none"  # sentence, none, or ids joined by '+'
    longest: int = 0
    keep: str = "anchors"  # anchors, none
    sinks: int = 0
    recent: int = 0
    view: str = "own"  # own, all


def parse(text):
    """The Policy that `text` names; ValueError names the key that is wrong."""
    values = {}
    for part in text.split(","):
        if part == "full":
            part = "recent=all"
        key, _, value = part.partition("=")
        if key in values:
            raise ValueError(f"policy key '{key}' is given twice")
        if key in ("longest", "sinks", "recent"):
            if key == "recent" and value == "all":
                values[key] = ALL_ROWS
            elif value.isdigit():
                values[key] = int(value)
            else:
                raise ValueError(f"policy key '{key}' wants a number, not '{value}'")
        elif (key, value) in {("keep", "anchors"), ("keep", "none"), ("view", "own"), ("view", "all")}:
            values[key] = value
        elif key == "anchors" and re.fullmatch(r"sentence|none|\d+(\+\d+)*", value):
            values[key] = value
        else:
            raise ValueError(f"policy part '{part}' is not known to training")
    policy = Policy(**values)
    if policy.anchors == "none" and policy.longest > 0:
        raise ValueError("policy key 'longest' needs anchors")
    return policy


def closing_rows(closes, never, longest):
    """Rows that act as anchors: those whose token closes a sequence, and the `longest`-th row of each, or the next one
    that may where that one never acts as an anchor.

    closes, never: bool [rows, tokens]. Returns bool [rows, tokens].
    """
    anchor = closes & ~never
    if longest > 0:
        for b in range(anchor.shape[0]):
            length = 0
            for i in range(anchor.shape[1]):
                length += 1
                if length >= longest and not never[b, i]:
                    anchor[b, i] = True
                if anchor[b, i]:
                    length = 0
    return anchor


def answer_openers(ids, opener):
    """True for the tokens with which a chat template opens an answer: they never act as anchors, or the row that predicts
    an answer's first token would be blind to the prompt.

    ids [rows, tokens]; opener: the ids of the opening, may be empty. Returns bool [rows, tokens].
    """
    found = torch.zeros(ids.shape, dtype=torch.bool)
    width = len(opener)
    if width == 0 or ids.shape[1] < width:
        return found
    begins = (ids.unfold(1, width, 1) == torch.tensor(opener, dtype=ids.dtype)).all(dim=2)  # [rows, tokens - width + 1]
    for offset in range(width):
        found[:, offset:offset + begins.shape[1]] |= begins
    return found


def visible(closes, policy, never=None):
    """mask[b, i, j]: row i of text b may see row j.

    closes: true where the token is of the policy's anchor set; never: where it does not act as an anchor all the same;
    both bool [rows, tokens]. Returns bool [rows, tokens, tokens].
    """
    tokens = closes.shape[1]
    i = torch.arange(tokens).view(1, tokens, 1)
    j = torch.arange(tokens).view(1, 1, tokens)
    mask = (i == j) | (i - j < policy.recent) | (j < policy.sinks)
    if policy.anchors != "none":
        anchor = closing_rows(closes, torch.zeros_like(closes) if never is None else never, policy.longest)
        sequence = anchor.long().cumsum(dim=1) - anchor.long()  # an anchor belongs to the sequence that it closes
        mask = mask | (sequence[:, :, None] == sequence[:, None, :])
        if policy.keep == "anchors":
            sees_kept = torch.ones_like(anchor) if policy.view == "all" else ~anchor
            mask = mask | (sees_kept[:, :, None] & anchor[:, None, :])
    return (mask & (j <= i)).expand(closes.shape[0], tokens, tokens)


def attention_bias(ids, policies, sentence_ids, opener=()):
    """What is added to the attention scores, 0 or -inf: ids [rows, tokens], a policy per row -> [rows, 1, tokens, tokens].

    sentence_ids: what `anchors=sentence` stands for. opener: see answer_openers().
    """
    masks = []
    for row, policy in zip(ids.split(1), policies, strict=True):
        if policy.anchors in ("none", "sentence"):
            closing = sentence_ids if policy.anchors == "sentence" else []
        else:
            closing = [int(id) for id in policy.anchors.split("+")]
        closes = torch.isin(row, torch.tensor(closing, dtype=row.dtype))
        masks.append(visible(closes, policy, answer_openers(row, opener)))
    return torch.zeros(1).masked_fill(~torch.stack(masks), float("-inf"))
