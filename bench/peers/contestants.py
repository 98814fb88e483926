"""Runs Kedge and llama.cpp on one work and returns figures: tokens per second, or seconds to the first token.

A `cell` is what one run of either measures: a context of so many tokens in so many streams (reading it and writing on),
or first tokens for so many clients.
"""
import collections
import http.client
import json
import os
import random
import socket
import statistics
import subprocess
import threading
import time

from bench.program import Failed, call

FIRST_TOKEN_PROMPT = 2048  # tokens
FIRST_TOKEN_WRITTEN = 8    # of each answer
WORKS = ("decode_1_ctx0", "decode_1_ctx2048", "decode_1_ctx8064", "decode_32_ctx512", "prompt_512", "prompt_2048",
         "prompt_8064", "ttft_1", "ttft_8")

# kind: "engine" (streams, context, and how many tokens each stream writes) or "ttft" (streams: clients at once).
Cell = collections.namedtuple("Cell", "kind streams context written works")


def is_time(work):
    """Whether less is better."""
    return work.startswith("ttft_")


def cells_of(works):
    """Cells for some of WORKS, those that take least first."""
    cells = []
    for cell in (Cell("engine", 1, 0, 64, ("decode_1_ctx0",)),
                 Cell("engine", 1, 512, 0, ("prompt_512",)),
                 Cell("engine", 1, 2048, 64, ("prompt_2048", "decode_1_ctx2048")),
                 Cell("ttft", 1, FIRST_TOKEN_PROMPT, FIRST_TOKEN_WRITTEN, ("ttft_1",)),
                 Cell("engine", 32, 512, 16, ("decode_32_ctx512",)),
                 Cell("engine", 1, 8064, 64, ("prompt_8064", "decode_1_ctx8064")),
                 Cell("ttft", 8, FIRST_TOKEN_PROMPT, FIRST_TOKEN_WRITTEN, ("ttft_8",))):
        here = tuple(work for work in cell.works if work in works)
        if here:
            reads_only = all(work.startswith("prompt") for work in here)
            cells.append(cell._replace(works=here, written=0 if reads_only else cell.written))
    return cells


class Kedge:
    """`programs`: the folder of the tool and the servers."""

    def __init__(self, programs, threads):
        self.tool = os.path.join(programs, "kedge")
        self.threads = str(threads)

    def inspect(self, model):
        return json.loads(call([self.tool, "model", "inspect", "--format", "json", model], 60))

    def default_model(self):
        return call([self.tool, "model", "fetch"], 600).strip()

    def run(self, cell, model, policy, timeout):
        """{work: figure}, {work: share of the limit}"""
        if cell.kind == "ttft":
            out = json.loads(call([self.tool, "bench", "serve", "--format", "json", "--model", model, "--policy",
                                   policy, "--threads", self.threads, "--clients", str(cell.streams), "--requests",
                                   str(cell.streams), "--prompt-tokens", str(cell.context), "--output-tokens",
                                   str(cell.written), "--seed", str(time.time_ns() % 10**6)], timeout))
            return {cell.works[0]: out["ttft_ms"]["p50"] / 1000}, {}
        written = ["--written", str(cell.written)] if cell.written else []
        out = json.loads(call([self.tool, "bench", "engine", "--format", "json", "--model", model, "--policies", policy,
                               "--threads", self.threads, "--works", ",".join(cell.works), "--repeat", "1", *written],
                              timeout))
        return ({row["work"]: row["tokens_per_s"] for row in out["rows"]},
                {row["work"]: row["share_of_limit"] for row in out["rows"]})


class LlamaCpp:
    """`programs`: the folder of one build."""

    def __init__(self, programs, threads):
        self.programs = programs
        self.threads = str(threads)

    def run(self, cell, model, vocabulary, timeout):
        """{work: figure}"""
        if cell.kind == "ttft":
            return {cell.works[0]: self.first_token(cell, model, vocabulary, timeout)}
        read = max(cell.context, 1)  # something must be read before something can be written
        written = max(cell.written, 1)
        out = call([os.path.join(self.programs, "llama-batched-bench"), "-m", model, "-t", self.threads, "-tb",
                    self.threads, "-c", str(cell.streams * (read + written)), "-npp", str(read), "-ntg", str(written),
                    "-npl", str(cell.streams), "--output-format", "jsonl"], timeout)
        rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        if len(rows) != 1:
            raise Failed(f"llama-batched-bench printed {len(rows)} rows")
        return {work: rows[0]["speed_tg" if work.startswith("decode") else "speed_pp"] for work in cell.works}

    def first_token(self, cell, model, vocabulary, timeout):
        """Median seconds to the first token for clients that ask at once, each with a prompt of its own."""
        deadline = time.monotonic() + timeout
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        slot = cell.context + cell.written + 8
        command = [os.path.join(self.programs, "llama-server"), "-m", model, "-t", self.threads, "-tb", self.threads,
                   "-c", str(cell.streams * slot), "--parallel", str(cell.streams), "--host", "127.0.0.1", "--port",
                   str(port)]
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            while not answers(port):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise Failed("llama-server did not come up")
                time.sleep(0.1)
            draw = random.Random(time.time_ns())
            prompts = [[draw.randrange(100, vocabulary) for _ in range(cell.context)] for _ in range(cell.streams)]
            time_to_first_token(port, prompts[0][-16:], 4, deadline)  # connections are made, memory has been touched
            return statistics.median(together([lambda prompt=prompt: time_to_first_token(port, prompt, cell.written,
                                                                                         deadline)
                                               for prompt in prompts]))
        finally:
            server.kill()
            server.wait()


def answers(port):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False


def time_to_first_token(port, prompt, written, deadline):
    """One streamed completion; returns when its first event came, after it has been read to its end."""
    body = json.dumps({"prompt": prompt, "n_predict": written, "stream": True, "cache_prompt": False,
                       "ignore_eos": True, "temperature": 0})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=max(1, deadline - time.monotonic()))
    start = time.monotonic()
    try:
        connection.request("POST", "/completion", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        first = None
        for line in response:
            if first is None and line.startswith(b"data:"):
                first = time.monotonic() - start
        if response.status != 200 or first is None:
            raise Failed(f"llama-server answered {response.status} without an event")
        return first
    except OSError as error:
        raise Failed(f"llama-server: {error or type(error).__name__}") from error
    finally:
        connection.close()


def together(functions):
    """Their results; they begin at the same time. The first failure is raised."""
    results = [None] * len(functions)
    begin = threading.Barrier(len(functions))

    def one(i):
        begin.wait()
        try:
            results[i] = functions[i]()
        except Failed as error:
            results[i] = error

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Failed):
            raise result
    return results
