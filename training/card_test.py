import unittest

import card
from train import FULL, STRICT, WINDOW


class CardTest(unittest.TestCase):
    def test_table_is_written_anew(self):
        entries = [{"kind": "base", "tokens": 0, STRICT: 4.5, WINDOW: 2.75, FULL: 2.5}, {"kind": "step", "tokens": 512},
                   {"kind": "held_out", "tokens": 100352, STRICT: 3.0, WINDOW: 2.5, FULL: 2.25}]
        text = f"before\n{card.BEGIN}\nold\n{card.END}\nafter\n"
        once = card.render(text, entries)
        self.assertEqual(once, card.render(once, entries))
        self.assertTrue(once.startswith("before\n") and once.endswith("\nafter\n"))
        self.assertIn("| base | 4.500 (+2.000) | 2.750 (+0.250) | 2.500 (+0.000) |\n"
                      "| 100,352 | 3.000 (+0.500) | 2.500 (+0.000) | 2.250 (-0.250) |\n", once)


if __name__ == "__main__":
    unittest.main()
