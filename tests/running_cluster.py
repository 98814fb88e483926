"""The programs as a cluster on a tiny model, and a client made from the protos alone.

Needs Debian's python3-grpcio and protobuf-compiler-grpc.
"""
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import grpc

from programs import BIN, ENVIRONMENT, TMP, TOOL, read

MODEL = os.path.join(TMP, "tiny.gguf")

# A client of any language begins like this: code from the protos.
sys.path.insert(0, TMP)
subprocess.run(["protoc", "-Iprotos", f"--python_out={TMP}", f"--grpc_out={TMP}",
                f"--plugin=protoc-gen-grpc={shutil.which('grpc_python_plugin')}",
                *(f"kedge/inference/v1/{name}.proto" for name in ("inference", "model", "cluster"))], check=True)
from kedge.inference.v1 import cluster_pb2, cluster_pb2_grpc  # noqa: E402
from kedge.inference.v1 import inference_pb2 as pb  # noqa: E402
from kedge.inference.v1 import inference_pb2_grpc  # noqa: E402
from kedge.inference.v1 import model_pb2, model_pb2_grpc  # noqa: E402


def wait_for(condition, what, seconds=30):
    end = time.time() + seconds
    while time.time() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


class Process:
    """One program; its log is kept for the asking."""

    def __init__(self, role, *arguments):
        self.log_path = os.path.join(TMP, f"{role}-{random.randrange(1 << 40)}.log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([os.path.join(BIN, f"kedge-{role}"), *arguments], stderr=log, stdout=subprocess.DEVNULL)

    def log(self):
        return read(self.log_path)

    def address(self, pattern=r"listening ([^\s,]+)"):
        def find():
            match = re.search(pattern, self.log())
            assert match or self.process.poll() is None, self.log()
            return match and match.group(1)
        return wait_for(find, "listening")

    def cluster_address(self):
        """Of a router: where it listens for nodes."""
        return self.address(r"for nodes (\S+)")

    def end(self, sig=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(timeout=20)


NO_CACHE = ("--cache-memory", "0")  # where the same prompt is to be computed again


class Cluster:
    def __init__(self, prefill=1, decode=1, policy="window", kv_memory="64", model=MODEL, flags=(), node_flags=(),
                 router_flags=()):
        """`flags`: of every program; `node_flags`: of nodes alone; `router_flags`: of the router alone."""
        self.kv_memory = kv_memory
        self.router = Process("router", "--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0", "--model",
                              model, "--policy", policy, *flags, *router_flags)
        self.address = self.router.address()
        self.cluster_address = self.router.cluster_address()
        self.nodes = {"prefill": [], "decode": []}
        for role, count in (("prefill", prefill), ("decode", decode)):
            for _ in range(count):
                self.add(role, *flags, *node_flags, model=model)
        self.channel = grpc.insecure_channel(self.address)
        self.stub = inference_pb2_grpc.InferenceServiceStub(self.channel)
        self.models = model_pb2_grpc.ModelServiceStub(self.channel)
        self.cluster_channel = grpc.insecure_channel(self.cluster_address)
        self.cluster = cluster_pb2_grpc.ClusterServiceStub(self.cluster_channel)
        wait_for(lambda: sum(node.ready for node in self.list()) == prefill + decode, "all nodes ready")

    def add(self, role, *flags, model=MODEL):
        node = Process(role, "--listen", "127.0.0.1:0", "--router", self.cluster_address, "--model", model,
                       "--threads", "1", "--kv-memory", self.kv_memory, *flags)
        self.nodes[role].append(node)
        return node

    def list(self):
        return self.cluster.ListNodes(cluster_pb2.ListNodesRequest()).nodes

    def reserved_rows(self):
        return sum(node.reserved_rows for node in self.list())

    def close(self):
        self.channel.close()
        self.cluster_channel.close()
        for node in self.nodes["prefill"] + self.nodes["decode"] + [self.router]:
            node.end()


@contextlib.contextmanager
def running(*args, **kwargs):
    cluster = Cluster(*args, **kwargs)
    try:
        yield cluster
    finally:
        cluster.close()


def request(ids=None, text=None, policy="", max_tokens=24, logprobs=None, **sampling):
    sampling.setdefault("temperature", 0.0)
    message = pb.GenerateRequest(
        sampling_params=pb.SamplingParams(max_tokens=max_tokens, ignore_eos=True, **sampling),
        output_options=pb.OutputOptions(token_ids=True, logprobs=logprobs),
        cache_options=pb.CacheOptions(policy=policy))
    if text is not None:
        message.text = text
    else:
        message.token_ids.ids.extend(ids)
    return message


def random_ids(count, seed):
    generator = random.Random(seed)
    return [generator.randrange(17, 350) for _ in range(count)]


def stream(cluster, message, timeout=60):
    """All of a stream in one answer: ids, text, last message, trailing metadata."""
    call = cluster.stub.GenerateStream(message, timeout=timeout)
    ids, text, last = [], "", None
    for last in call:
        for completion in last.completions:
            ids.extend(completion.token_ids)
            text += completion.text
    return ids, text, last, dict(call.trailing_metadata())


def tool(*arguments, **kwargs):
    return subprocess.run([TOOL, *arguments], capture_output=True, text=True, timeout=120, env=ENVIRONMENT, **kwargs)
