#!/usr/bin/env python3
"""`./kedge bench peers`: Kedge and llama.cpp one after the other on the same files, threads and lengths.

Called by the launcher with the folder of Kedge's programs. docs/performance.md says what is measured and how.
"""
import argparse
import functools
import json
import os
import statistics
import sys
import time

from bench.peers import contestants, peer_build
from bench.program import Failed, cache_directory, say

FILES = ("Q4_1", "Q8_0")
POLICIES = ("window", "salient", "full")
MOST_ROUNDS = 5
MOST_SHARES = 4  # a turn may take four times an equal share of the time that is left: one that hangs stops no other
# Works that take long, and the shorter ones of their kind: where llama.cpp has several builds, the long ones are left
# to the build that was faster in the short ones.
SHORTER = {"prompt_8064": "prompt_2048", "decode_1_ctx8064": "decode_1_ctx2048", "ttft_8": "ttft_1"}
# What decides speed here, as /proc/cpuinfo names it.
INSTRUCTION_SETS = ("avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16",
                    "amx_int8", "amx_bf16")


def some_of(known):
    """For argparse: a list with commas, in the order of `known`."""
    def parse(text):
        asked = [word.strip() for word in text.split(",")]
        for word in asked:
            if word not in known:
                raise argparse.ArgumentTypeError(f"\"{word}\" is none of {', '.join(known)}")
        return [word for word in known if word in asked]
    return parse


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        prog="kedge bench peers", description="Measures Kedge and llama.cpp (from PyPI, built in the cache directory) "
        "one after the other. ratio > 1: Kedge is better.")
    parser.add_argument("--programs", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--works", type=some_of(contestants.WORKS), default=list(contestants.WORKS), metavar="LIST",
                        help="with commas (default: all): " + ", ".join(contestants.WORKS))
    parser.add_argument("--files", type=some_of(FILES), default=list(FILES), metavar="LIST",
                        help="Q4_1 is the default model, Q8_0 the same made by llama-quantize (default: both)")
    parser.add_argument("--policies", type=some_of(POLICIES), default=list(POLICIES), metavar="LIST",
                        help="of Kedge (default: window,salient,full)")
    parser.add_argument("--minutes", type=float, default=14, metavar="M",
                        help="time for measuring (default: 14); what is left over repeats what takes little")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), metavar="N",
                        help="of both (default: all cores)")
    parser.add_argument("--model", metavar="FILE", help="instead of the default model, as Q4_1")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    return parser.parse_args(arguments)


def cpu_text(cpuinfo):
    """The processor's name and those of INSTRUCTION_SETS that it has."""
    name = next((line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")),
                "unknown processor")
    flags = set(peer_build.cpu_flags(cpuinfo))
    return f"{name}: {' '.join(known for known in INSTRUCTION_SETS if known in flags)}"


class Figures:
    """All that was measured, by who, file and work."""

    def __init__(self):
        self.of_kedge = {}  # (file, work, policy): [figure]
        self.of_peer = {}   # (file, work): {build: [figure]}
        self.shares = {}    # (file, work, policy): [share]

    def add_kedge(self, file, policy, figures, shares):
        for work, figure in figures.items():
            self.of_kedge.setdefault((file, work, policy), []).append(figure)
        for work, share in shares.items():
            self.shares.setdefault((file, work, policy), []).append(share)

    def add_peer(self, file, build, figures):
        for work, figure in figures.items():
            self.of_peer.setdefault((file, work), {}).setdefault(build, []).append(figure)

    def peer(self, file, work):
        """The faster build's median."""
        build = self.fastest(file, work)
        return None if build is None else statistics.median(self.of_peer[file, work][build])

    def fastest(self, file, work):
        """Name of the faster build; None if the work was not measured."""
        builds = self.of_peer.get((file, work), {})
        best = min if contestants.is_time(work) else max
        return best(builds, key=lambda build: statistics.median(builds[build]), default=None)

    def row(self, work, file, policy):
        def median(figures):
            return statistics.median(figures) if figures else None
        kedge, peer = median(self.of_kedge.get((file, work, policy))), self.peer(file, work)
        ratio = None
        if kedge and peer:
            ratio = peer / kedge if contestants.is_time(work) else kedge / peer
        return {"work": work, "file": file, "policy": policy, "kedge": kedge, "peer": peer, "ratio": ratio,
                "share_of_limit": median(self.shares.get((file, work, policy)))}


class Bench:
    """`files`: {name: path}. `builds`: {name: LlamaCpp}."""

    def __init__(self, kedge, builds, files, policies, vocabulary, deadline):
        self.kedge, self.builds, self.files, self.policies = kedge, builds, files, policies
        self.vocabulary, self.deadline = vocabulary, deadline
        self.figures = Figures()

    def left(self):
        return self.deadline - time.monotonic()

    def builds_for(self, cell, file):
        """Names of the builds of llama.cpp that take part."""
        chosen = {self.figures.fastest(file, SHORTER.get(work, "")) for work in cell.works}
        return [name for name in self.builds if name in chosen or None in chosen]

    def turns(self, cell, file):
        """Everybody once, so that what slows the machine down meets all: who, and what to call with a time limit."""
        def peer(name, limit):
            self.figures.add_peer(file, name, self.builds[name].run(cell, self.files[file], self.vocabulary, limit))

        def kedge(policy, limit):
            self.figures.add_kedge(file, policy, *self.kedge.run(cell, self.files[file], policy, limit))

        return ([(f"llama.cpp ({name})", functools.partial(peer, name)) for name in self.builds_for(cell, file)] +
                [(f"Kedge under {policy}", functools.partial(kedge, policy)) for policy in self.policies])

    def take(self, what, turn, share):
        """One turn within a share of the time that is left. What fails leaves a gap."""
        if self.left() <= 0:
            say(f"no time is left for {what}")
            return
        say(what)
        try:
            turn(share * self.left())
        except Failed as error:
            say(f"no figure: {error}")

    def run(self, works):
        """One round of all, then further rounds of what still fits."""
        pairs = [(cell, file) for cell in contestants.cells_of(works) for file in self.files]
        took = {}
        for number in range(MOST_ROUNDS):
            for i, (cell, file) in enumerate(pairs):
                if number > 0 and took[cell, file] >= self.left():
                    continue
                start = time.monotonic()
                turns = self.turns(cell, file)
                for j, (who, turn) in enumerate(turns):
                    waiting = (len(pairs) - i) * len(turns) - j if number == 0 else 1
                    self.take(f"{', '.join(cell.works)} on {file}: {who}", turn, min(1, MOST_SHARES / waiting))
                took[cell, file] = time.monotonic() - start


def table(result):
    lines = [result["cpu"], "", f"{'work':<18} {'file':<5} {'policy':<8} {'Kedge':>10} {'llama.cpp':>10} {'ratio':>7} "
             f"{'of limit':>9}"]
    for row in result["rows"]:
        def number(name, form, unit=""):
            return "-" if row[name] is None else format(row[name], form) + unit
        unit, form = (" s", ".2f") if contestants.is_time(row["work"]) else ("", ".1f")
        share = "-" if row["share_of_limit"] is None else f"{100 * row['share_of_limit']:.0f} %"
        lines.append(f"{row['work']:<18} {row['file']:<5} {row['policy']:<8} {number('kedge', form, unit):>10} "
                     f"{number('peer', form, unit):>10} {number('ratio', '.2f'):>7} {share:>9}")
    return "\n".join(lines) + "\n"


def main(arguments):
    flags = parse_arguments(arguments)
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpuinfo = file.read()
    try:
        directory, folders = peer_build.prepare(cache_directory(), peer_build.cpu_flags(cpuinfo))
        kedge = contestants.Kedge(flags.programs, flags.threads)
        model = flags.model or kedge.default_model()
        known = kedge.inspect(model)
        files = {"Q4_1": model}
        if "Q8_0" in flags.files:
            files["Q8_0"] = peer_build.requantized(directory, next(iter(folders.values())), model,
                                                   known["salience_heads"])
    except (Failed, OSError) as error:
        say(f"no comparison: {error}")
        return 1
    builds = {name: contestants.LlamaCpp(folder, flags.threads) for name, folder in folders.items()}
    bench = Bench(kedge, builds, {name: files[name] for name in flags.files}, flags.policies, known["vocab_size"],
                  time.monotonic() + 60 * flags.minutes)
    bench.run(flags.works)
    result = {"cpu": cpu_text(cpuinfo), "rows": [bench.figures.row(work, file, policy) for work in flags.works
                                                 for file in flags.files for policy in flags.policies]}
    sys.stdout.write(json.dumps(result) + "\n" if flags.format == "json" else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
