"""`./kedge bench compare A [B]`: the engine of two commits on this machine, one after the other.

Each commit's files are laid out in CACHE/compare/sources and built there by their own launcher, so that of the second
one only what differs is built; its programs are kept in CACHE/compare/COMMIT. The repository is only read. Without B
it is the sources as they are.

Called by the launcher with the folder of the programs built from those.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys

from bench.program import Failed, cache_directory, call, say

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
MOST_KEPT = 20  # commits
LIMIT_SECONDS = 3600  # of one run


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        prog="kedge bench compare",
        description="Runs `kedge bench engine` of two commits in turn. ratio > 1: B is faster.")
    parser.add_argument("--programs", required=True, help=argparse.SUPPRESS)
    parser.add_argument("a", metavar="A", help="a commit, as git names it")
    parser.add_argument("b", metavar="B", nargs="?", help="another one (default: the sources as they are)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each is measured (default: 5)")
    parser.add_argument("--works", default="decode_1_ctx0,prompt_512,decode_1_ctx2048", metavar="LIST",
                        help="as of kedge bench engine (default: decode_1_ctx0,prompt_512,decode_1_ctx2048)")
    parser.add_argument("--policies", default="window", metavar="LIST",
                        help="as of kedge bench engine (default: window)")
    parser.add_argument("--sample", metavar="HOW", help="as of kedge bench engine: how tokens are chosen (default: none)")
    parser.add_argument("--model", metavar="FILE", help="GGUF file (default: the default model)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads that compute (default: one per core)")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    flags = parser.parse_args(arguments)
    if flags.rounds < 1:
        parser.error("--rounds must be at least 1")
    return flags


def commit_of(name):
    """The full name of a commit."""
    found = subprocess.run(["git", "-C", ROOT, "rev-parse", "--verify", "--quiet", "--end-of-options",
                            name + "^{commit}"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise Failed(f"\"{name}\" is no commit of {ROOT}")
    return found.stdout.strip()


def lay_out(commit, place):
    """The commit's files in `place`, and nothing else but what a build there keeps."""
    os.makedirs(place, exist_ok=True)
    for entry in os.listdir(place):
        if entry == ".kedge":
            continue
        path = os.path.join(place, entry)
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)
    with subprocess.Popen(["git", "-C", ROOT, "archive", "--format=tar", commit], stdout=subprocess.PIPE) as archive:
        unpacked = subprocess.run(["tar", "-x", "-m", "-C", place], stdin=archive.stdout, check=False).returncode
    if archive.returncode != 0 or unpacked != 0:
        raise Failed(f"git archive of {commit} failed")


def programs_of(commit, cache):
    """The folder of a commit's programs, built if they are not there."""
    directory = os.path.join(cache, "compare")
    programs = os.path.join(directory, commit)
    if not os.path.exists(programs):
        sources = os.path.join(directory, "sources")
        say(f"building {commit[:12]} in {sources}")
        lay_out(commit, sources)
        if subprocess.run([os.path.join(sources, "kedge"), "--version"], stdout=subprocess.DEVNULL,
                          check=False).returncode != 0:
            raise Failed(f"{commit[:12]} could not be built")
        shutil.rmtree(programs + ".new", ignore_errors=True)
        shutil.copytree(os.path.join(sources, ".kedge", "bin"), programs + ".new")
        os.rename(programs + ".new", programs)
        kept = sorted((os.path.join(directory, name) for name in os.listdir(directory) if name != "sources"),
                      key=os.path.getmtime)
        for old in kept[:-MOST_KEPT]:
            shutil.rmtree(old)
    probe = subprocess.run([os.path.join(programs, "kedge"), "bench", "engine", "--help"], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)
    if probe.returncode != 0:
        raise Failed(f"{commit[:12]} has no `kedge bench engine`: it is older than that command")
    return programs


def measure(programs, options):
    """{(work, policy): tokens per second} of one run."""
    out = json.loads(call([os.path.join(programs, "kedge"), "bench", "engine", "--format", "json", "--repeat", "1",
                           *options], LIMIT_SECONDS))
    return {(row["work"], row["policy"]): row["tokens_per_s"] for row in out["rows"]}


def compare(sides, rounds, run):
    """Rows of the result. `sides`: what stands for A and B; `run` measures one. Who begins changes from round to round,
    and ratios are of one round each: what slows the machine down for a while meets both."""
    results = []
    for turn in range(rounds):
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        pair = [None, None]
        for side in order:
            pair[side] = run(sides[side])
        results.append(pair)
    rows = []
    for work, policy in results[0][0]:
        pairs = [(a[work, policy], b[work, policy]) for a, b in results]
        ratios = [b / a for a, b in pairs]
        rows.append({"work": work, "policy": policy, "a": statistics.median(a for a, _ in pairs),
                     "b": statistics.median(b for _, b in pairs), "ratio": statistics.median(ratios),
                     "least": min(ratios), "most": max(ratios)})
    return rows


def table(result):
    lines = [f"A {result['a']}", f"B {result['b']}", "",
             f"{'work':<20} {'policy':<20} {'A, tokens/s':>12} {'B, tokens/s':>12} {'B / A':>7}  {'of the rounds':>15}"]
    for row in result["rows"]:
        lines.append(f"{row['work']:<20} {row['policy']:<20} {row['a']:>12.1f} {row['b']:>12.1f} {row['ratio']:>7.3f}  "
                     f"{row['least']:>6.3f} to {row['most']:.3f}")
    return "\n".join(lines) + "\n"


def main(arguments):
    flags = parse_arguments(arguments)
    options = ["--works", flags.works, "--policies", flags.policies]
    if flags.sample:
        options += ["--sample", flags.sample]
    if flags.model:
        options += ["--model", flags.model]
    if flags.threads:
        options += ["--threads", str(flags.threads)]
    try:
        names = [commit_of(flags.a), commit_of(flags.b) if flags.b else "the sources as they are"]
        sides = [programs_of(names[0], cache_directory()),
                 programs_of(names[1], cache_directory()) if flags.b else flags.programs]
        rows = compare(sides, flags.rounds, lambda side: measure(side, options))
    except Failed as error:
        say(f"no comparison: {error}")
        return 1
    result = {"a": names[0], "b": names[1], "rows": rows}
    sys.stdout.write(json.dumps(result) + "\n" if flags.format == "json" else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
