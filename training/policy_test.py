import random
import unittest

import torch

import policy


def slow_visible(closes, never, p):
    """The rule in its own words, a row and a column at a time."""
    n = len(closes)
    anchor, sequence, current, length = [], [], 0, 0
    for i in range(n):
        length += 1
        is_anchor = p.anchors != "none" and not never[i] and (closes[i] or (p.longest > 0 and length >= p.longest))
        anchor.append(is_anchor)
        sequence.append(current)
        if is_anchor:
            current += 1
            length = 0
    rows = []
    for i in range(n):
        row = []
        for j in range(n):
            same = p.anchors != "none" and sequence[i] == sequence[j]
            kept = p.keep == "anchors" and anchor[j] and (not anchor[i] or p.view == "all")
            row.append(j <= i and (j == i or same or i - j < p.recent or j < p.sinks or kept))
        rows.append(row)
    return rows


class PolicyTest(unittest.TestCase):
    def test_mask_is_the_rule(self):
        chance = random.Random(1)
        for case in range(300):
            p = policy.Policy(anchors=chance.choice(["sentence", "sentence", "none"]), keep=chance.choice(["anchors", "none"]),
                              longest=chance.choice([0, 0, 1, 2, 5]), sinks=chance.choice([0, 1, 3]),
                              recent=chance.choice([0, 1, 4, policy.ALL_ROWS]), view=chance.choice(["own", "all"]))
            closes = [chance.random() < 0.2 for _ in range(chance.randrange(1, 24))]
            never = [chance.random() < 0.1 for _ in closes]
            mask = policy.visible(torch.tensor([closes]), p, torch.tensor([never]))
            self.assertEqual(mask[0].tolist(), slow_visible(closes, never, p), f"case {case}: {p} {closes} {never}")

    def test_strict_by_hand(self):
        # a . b c . d: the second full stop sees its own sequence alone, d sees both full stops.
        closes = torch.tensor([[False, True, False, False, True, False]])
        mask = policy.visible(closes, policy.parse("anchors=sentence"))[0].int().tolist()
        self.assertEqual(mask, [[1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0],
                                [0, 0, 1, 1, 1, 0], [0, 1, 0, 0, 1, 1]])

    def test_each_row_of_a_batch_has_its_own_policy(self):
        ids = torch.tensor([[5, 9, 6, 7], [5, 9, 6, 7]])
        bias = policy.attention_bias(ids, [policy.parse("anchors=sentence"), policy.parse("full")], sentence_ids=[9])
        self.assertEqual(bias.shape, (2, 1, 4, 4))
        self.assertEqual(bias[0, 0, 2].tolist(), [float("-inf"), 0, 0, float("-inf")])
        self.assertEqual(bias[1, 0, 2].tolist(), [0, 0, 0, float("-inf")])

    def test_an_answers_opening_is_no_anchor(self):
        ids = torch.tensor([[3, 9, 1, 2, 9, 4]])
        bias = policy.attention_bias(ids, [policy.parse("anchors=9")], sentence_ids=[], opener=[1, 2, 9])
        self.assertEqual((bias[0, 0, 4] == 0).tolist(), [False, True, True, True, True, False])
        self.assertEqual((bias[0, 0, 5] == 0).tolist(), [False, True, True, True, True, True])

    def test_text_form(self):
        self.assertEqual(policy.parse("anchors=sentence,sinks=4,recent=64,view=all"),
                         policy.Policy(anchors="sentence", sinks=4, recent=64, view="all"))
        self.assertEqual(policy.parse("full").recent, policy.ALL_ROWS)
        for text, named in (("sinks=x", "sinks"), ("anchors=,", "anchors"), ("sinks=1,sinks=2", "twice"),
                            ("view=some", "view=some"), ("longest=5", "longest"), ("salient=0.1", "salient")):
            with self.assertRaisesRegex(ValueError, named):
                policy.parse(text)


if __name__ == "__main__":
    unittest.main()
