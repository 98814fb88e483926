"""The real processes, with nodes on a GPU and on the CPU side by side: every cluster must write the same answers.

cluster.py PROGRAMS MODEL BACKEND: PROGRAMS holds kedge, kedge-router, kedge-prefill and kedge-decode; BACKEND is what is
held against the cpu. Lines of JSON as probe.h writes them. Needs Python alone.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time

PROGRAMS, MODEL, BACKEND = sys.argv[1:]
STORY = " ".join(f"In year {year} the tide was {year * 7 % 31} feet, and nobody wrote why." for year in range(5))
# Answers with log probabilities, whose bits are compared, and drawn ones, whose tokens the devices choose.
REQUESTS = [
    ["--prompt", prompt, "--policy", policy, *how]
    for prompt in (STORY, "How high was the tide in year 3?")
    for policy in ("full", "window,recent=48", "salient")
    for how in (["--temperature", "0", "--format", "json"], ["--temperature", "1", "--seed", "7"])
]


def report(what, value, unit, note):
    print(json.dumps({"part": "cluster", "what": what, "value": value, "unit": unit, "note": note}), flush=True)


class Process:
    """A server. It ends with this script, and what it says is shown where it does not come up."""

    def __init__(self, program, *flags):
        self.log = tempfile.NamedTemporaryFile("w+", prefix=f"{program}-", suffix=".log")
        self.process = subprocess.Popen(
            [os.path.join(PROGRAMS, program), "--listen", "127.0.0.1:0", "--model", MODEL, "--die-with-parent", *flags],
            stdout=subprocess.DEVNULL, stderr=self.log)

    def said(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for_address(self, pattern=r"listening ([^\s,]+)"):
        end = time.time() + 30
        while time.time() < end and self.process.poll() is None:
            found = re.search(pattern, self.said())
            if found:
                return found.group(1)
            time.sleep(0.05)
        sys.exit(f"{self.process.args[0]} does not listen:\n{self.said()}")

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=20)


def tool(*arguments):
    return subprocess.run([os.path.join(PROGRAMS, "kedge"), *arguments], capture_output=True, text=True, timeout=60)


def ask(router, request):
    """What must not differ of the answer, and the bytes that came from the prefill node."""
    run = tool("generate", "--router", router, "--raw", "--max-tokens", "48", "--ignore-eos", *request)
    if run.returncode != 0:
        sys.exit(f"{' '.join(request)}: {run.stderr}")
    if "json" not in request:
        return run.stdout, 0
    answer = json.loads(run.stdout)
    return [answer[key] for key in ("token_ids", "logprobs", "kept_ranges")], answer["segment_bytes"]


def answers(prefill, decode):
    """Of a cluster with a node of each kind, by backend."""
    router = Process("kedge-router", "--cluster-listen", "127.0.0.1:0")
    address = router.wait_for_address()
    cluster = router.wait_for_address(r"for nodes (\S+)")
    nodes = [Process(f"kedge-{role}", "--router", cluster, "--backend", backend, "--kv-memory", "64")
             for role, backend in (("prefill", prefill), ("decode", decode))]
    try:
        for node in nodes:
            node.wait_for_address()
        end = time.time() + 30
        while time.time() < end and tool("nodes", "--router", cluster).stdout.count(" yes ") < len(nodes):
            time.sleep(0.1)
        written, moved = zip(*(ask(address, request) for request in REQUESTS))
        if not any(moved):
            sys.exit("no rows came from the prefill node")
        return written
    finally:
        for process in nodes + [router]:
            process.end()


def main():
    expected = answers("cpu", "cpu")
    differing = 0
    for prefill, decode in ((BACKEND, BACKEND), (BACKEND, "cpu"), ("cpu", BACKEND)):
        start = time.time()
        differ = sum(one != other for one, other in zip(expected, answers(prefill, decode)))
        report(f"prefill {prefill}, decode {decode}", differ, "differ",
               f"of {len(expected)} answers of the cpu alone; {time.time() - start:.1f} s")
        differing += differ
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
