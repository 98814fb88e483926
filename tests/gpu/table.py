"""Markdown of the results of the probe: `table.py results.jsonl`. Lines that are no result are passed over."""

import json
import sys


def read_results(lines):
    for line in lines:
        try:
            result = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(result, dict) and "part" in result:
            yield result


def figure(value):
    """Four figures, and whole numbers whole."""
    if value is None:
        return ""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.4g}"


def table(results):
    yield "| part | what | result | beside it |"
    yield "|---|---|---|---|"
    for result in results:
        value = f"{figure(result['value'])} {result['unit']}".strip()
        yield f"| {result['part']} | {result['what']} | {value} | {result['note'].replace('|', '/')} |"


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print("\n".join(table(read_results(file))))
