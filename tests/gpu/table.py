"""Markdown of the results of the probe and of gpu_check: `table.py results.jsonl`. Lines that are no result are passed
over. What has a ceiling that was measured in the same run is told as a share of it."""

import json
import sys

# How a figure of gpu_check ends, the ceiling that it stands below, and the ceiling's name.
CEILINGS = (
    (", read", "device copy, read and written", "the copy rate"),
    (" to the host", "device to pinned", "a plain copy"),
    (", products", "int8 mma.sync and a scaled float sum a block", "int8 mma.sync with a scaled sum a block"),
)


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


def share(result, ceilings):
    """"12.3 % of the copy rate", or nothing."""
    for ending, ceiling, name in CEILINGS:
        if result["part"].startswith("speed-") and result["what"].endswith(ending) and ceilings.get(ceiling):
            return f"{100 * result['value'] / ceilings[ceiling]:.1f} % of {name}"
    return ""


def table(results):
    results = list(results)
    ceilings = {result["what"]: result["value"] for result in results if result["part"] == "ceilings"}
    yield "| part | what | result | beside it |"
    yield "|---|---|---|---|"
    for result in results:
        value = f"{figure(result['value'])} {result['unit']}".strip()
        note = "; ".join(filter(None, (share(result, ceilings), result["note"].replace("|", "/"))))
        yield f"| {result['part']} | {result['what']} | {value} | {note} |"


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print("\n".join(table(read_results(file))))
