"""Puts the figures of a run's log into a model card: the table between the card's two marks is written anew."""

import argparse
import json

from train import FULL, STRICT, WINDOW

BEGIN, END = "<!-- curve: training/card.py -->", "<!-- end of curve -->"


def curve(entries):
    """A Markdown table of the held-out losses; entries: the log's objects in order."""
    lines = ["| tokens | strict | sinks and window | full attention |", "|---:|---:|---:|---:|"]
    base = None
    for entry in entries:
        if entry["kind"] == "step":
            continue
        if entry["kind"] == "base":
            base = entry[FULL]
        name = "base" if entry["kind"] == "base" else f"{entry['tokens']:,}"
        cells = [f"{entry[text]:.3f} ({entry[text] - base:+.3f})" for text in (STRICT, WINDOW, FULL)]
        lines.append(" | ".join(["| " + name, *cells]) + " |")
    return "\n".join(lines)


def render(card, entries):
    before, rest = card.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{curve(entries)}\n{END}{after}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", required=True, help="log.jsonl of the run")
    parser.add_argument("--card", required=True, help="Markdown file, changed in place")
    flags = parser.parse_args()
    with open(flags.log, encoding="utf-8") as file:
        entries = [json.loads(line) for line in file]
    with open(flags.card, encoding="utf-8") as file:
        card = file.read()
    with open(flags.card, "w", encoding="utf-8") as file:
        file.write(render(card, entries))


if __name__ == "__main__":
    main()
