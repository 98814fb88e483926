"""What the tests of the programs share: where the programs lie, random models, and who has started whom."""
import os
import shutil
import subprocess
import tempfile

TMP = os.environ.get("TEST_TMPDIR") or tempfile.mkdtemp()
BIN = os.path.join(TMP, "bin")  # `kedge` finds the servers beside itself
TOOL = os.path.join(BIN, "kedge")
ENVIRONMENT = {**os.environ, "HOME": TMP, "XDG_CACHE_HOME": os.path.join(TMP, "cache")}


def copy_programs():
    """From Bazel's run files, where each lies in its own room, into BIN."""
    os.makedirs(BIN, exist_ok=True)
    for program in ("cli/kedge", "router/kedge-router", "prefill/kedge-prefill", "decode/kedge-decode"):
        shutil.copy(program, BIN)


def make_model(path, size, seed):
    """`size`: tiny, or medium, which is slow enough to be watched at work."""
    subprocess.run(["tests/make_tiny_model", path, size, str(seed)], check=True)


def make_adapter(path, seed, policy="", base_sha256=""):
    """For the tiny models of any seed, unless the digest names one."""
    subprocess.run(["tests/make_tiny_model", path, "adapter", str(seed), policy, base_sha256], check=True)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def children(parent):
    """The living processes that `parent` has started: {process id: name}."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = dict(line.split(":\t", 1) for line in read(f"/proc/{entry}/status").splitlines() if ":\t" in line)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(status["PPid"]) == parent:
            found[int(entry)] = status["Name"]
    return found


def is_alive(process):
    return os.path.exists(f"/proc/{process}")
