"""`./kedge bench tls`: what TLS costs between clients, router and nodes, on this machine's loopback.

Two clusters of one router, one prefill and one decode node run side by side, one plain, one with certificates on every
leg; `kedge bench serve` puts the same load on each in turn, so that what else the machine does hits both. A ratio is of
the two runs of a round; its median and its range stand in the end. Where the machine has other work as well, times tell
little and CPU time still something: what the servers and the client use for a token of an answer, all legs together.

Called by the launcher with the folder of the programs.
"""
import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from bench.program import Failed, cache_directory, call, say

MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
LIMIT_SECONDS = 600  # of one run


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="kedge bench tls",
                                     description="Runs `kedge bench serve` with and without TLS.")
    parser.add_argument("--programs", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="how often each is measured (default: 9)")
    parser.add_argument("--model", metavar="FILE", default=os.path.join(cache_directory(), MODEL),
                        help="GGUF file (default: the default model)")
    parser.add_argument("--threads", type=int, metavar="N",
                        help="threads of each node that compute (default: one per core)")
    parser.add_argument("load", nargs="*", metavar="FLAG", help="behind --: flags of `kedge bench serve`")
    flags = parser.parse_args(arguments)
    if flags.rounds < 1:
        parser.error("--rounds must be at least 1")
    return flags


class Cluster:
    """Started with the flags that each program gets; ends with this object."""

    def __init__(self, flags, place, router_flags=(), node_flags=lambda name: ()):
        self.flags, self.place, self.processes = flags, place, []
        self.start("router", "--listen", "localhost:0", "--cluster-listen", "localhost:0", *router_flags)
        self.address, cluster = self.wait_for(r"listening (\S+), for nodes (\S+)")
        for role in ("prefill", "decode"):
            name = f"{role}-0"
            self.start(role, "--listen", "localhost:0", "--router", cluster, "--node-id", name, *node_flags(name),
                       *(("--threads", str(flags.threads)) if flags.threads else ()))
            self.wait_for(r"(registered) with the router")

    def start(self, role, *arguments):
        self.log = os.path.join(self.place, f"{role}.log")
        with open(self.log, "wb") as log:
            self.processes.append(subprocess.Popen(
                [os.path.join(self.flags.programs, f"kedge-{role}"), "--model", self.flags.model, "--die-with-parent",
                 *arguments], stdout=subprocess.DEVNULL, stderr=log))

    def wait_for(self, pattern):
        end = time.time() + 120
        while time.time() < end and self.processes[-1].poll() is None:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                text = file.read()
            if found := re.search(pattern, text):
                return found.groups()
            time.sleep(0.05)
        raise Failed(f"a server does not come up:\n{text}")

    def cpu_seconds(self):
        total = 0
        for process in self.processes:
            with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])  # in user and in kernel mode
        return total / os.sysconf("SC_CLK_TCK")

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(timeout=30)


def children_cpu_seconds():
    """Of programs that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(flags, cluster, seed, tls_flags=()):
    """Tokens of answers per second, the median time between two of one answer in ms, and ms of CPU time for one."""
    before = cluster.cpu_seconds() + children_cpu_seconds()
    report = json.loads(call([os.path.join(flags.programs, "kedge"), "bench", "serve", "--router", cluster.address,
                              "--model", flags.model, "--seed", str(seed), "--format", "json", *tls_flags, *flags.load],
                             LIMIT_SECONDS))
    used = cluster.cpu_seconds() + children_cpu_seconds() - before
    rate = report["throughput"]["output_tokens_per_s"]
    return rate, report["itl_ms"]["p50"], 1000 * used / (rate * report["seconds"])


def show(name, values, unit):
    print(f"{name:<34} {statistics.median(values):8.3f}  ({min(values):.3f} to {max(values):.3f}) {unit}")


def main(arguments):
    flags = parse_arguments(arguments)
    with tempfile.TemporaryDirectory() as place:
        certs = os.path.join(place, "certs")
        call([os.path.join(flags.programs, "kedge"), "certs", certs, "router:localhost", "prefill:prefill-0",
              "decode:decode-0"], 60)
        folder = lambda name: os.path.join(certs, name)
        clusters = [Cluster(flags, place)]
        try:
            clusters.append(Cluster(flags, place,
                                    ["--tls-dir", folder("localhost"), "--tls-cert", folder("localhost") + "/cert.pem",
                                     "--tls-key", folder("localhost") + "/key.pem"],
                                    lambda name: ["--tls-dir", folder(name)]))
            rates, gaps, shares, added = [], [], [], []
            for i in range(flags.rounds):
                say(f"round {i + 1} of {flags.rounds}")
                runs = {}
                for secure in ((False, True) if i % 2 == 0 else (True, False)):
                    runs[secure] = measure(flags, clusters[secure], 2 * i,
                                           ["--tls-ca", folder("localhost") + "/ca.pem"] if secure else [])
                rates.append(runs[True][0] / runs[False][0])
                gaps.append(runs[True][1] - runs[False][1])
                shares.append(runs[True][2] / runs[False][2])
                added.append(runs[True][2] - runs[False][2])
        finally:
            for cluster in clusters:
                cluster.close()
    show("throughput with TLS / without", rates, "")
    show("between tokens, with less without", gaps, "ms")
    show("CPU a token with TLS / without", shares, "")
    show("CPU a token, with less without", added, "ms")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Failed as error:
        say(error)
        sys.exit(1)
