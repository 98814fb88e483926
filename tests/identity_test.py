#!/usr/bin/env python3
"""What the cluster serves, and that its nodes compute it: real processes with other files, replaced files, flipped bits."""
import contextlib
import hashlib
import os
import shutil
import time
import unittest

from programs import ENVIRONMENT, TMP, copy_programs, make_model
from running_cluster import (MODEL, Cluster, Process, cluster_pb2, model_pb2, random_ids, request, running, stream, tool,
                             wait_for)

OTHER_MODEL = os.path.join(TMP, "other.gguf")


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def fingerprint_file(path):
    """Where the fingerprint of the file is remembered."""
    name = hashlib.sha256(os.path.realpath(path).encode()).hexdigest()
    return os.path.join(ENVIRONMENT["XDG_CACHE_HOME"], "kedge", "fingerprints", name)


def let_be_remembered(path):
    time.sleep(2.1)  # until it does no more change, as far as its times say
    result = tool("model", "inspect", path)
    assert result.returncode == 0, result.stderr
    assert os.path.exists(fingerprint_file(path))


@contextlib.contextmanager
def cache_directory():
    """That of the tool for the processes that are started meanwhile."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = ENVIRONMENT["XDG_CACHE_HOME"]
    try:
        yield
    finally:
        if before is None:
            del os.environ["XDG_CACHE_HOME"]
        else:
            os.environ["XDG_CACHE_HOME"] = before


class IdentityTest(unittest.TestCase):
    def test_a_node_with_a_flipped_bit_is_out_and_named(self):
        flipped = os.path.join(TMP, "flipped.gguf")
        with open(MODEL, "rb") as file:
            data = bytearray(file.read())
        data[len(data) * 3 // 5 // 4 * 4 + 1] ^= 0x40
        with open(flipped, "wb") as file:
            file.write(data)
        let_be_remembered(flipped)
        # It says that it has the cluster's model: as one whose memory is bad, or whose packed weights are stale.
        with open(fingerprint_file(flipped)) as file:
            lines = file.read().splitlines()
        self.assertEqual(lines[0], sha256(flipped))
        with open(fingerprint_file(flipped), "w") as file:
            file.write(f"{sha256(MODEL)}\n{lines[1]}\n")
        with running(prefill=1, decode=1) as c:
            with cache_directory():
                bad = c.add("decode", "--node-id", "bad", model=flipped)
            def out():
                return [node for node in c.list() if node.out and "has not come yet" not in node.out]
            wait_for(out, "a node that is out", 20)
            (node,) = out()
            self.assertEqual(node.node_id, "bad", bad.log())
            self.assertFalse(node.ready)
            self.assertRegex(node.out, "its answer to 64 random ids is not that of (decode-.*, prefill-|prefill-.*, decode-)")
            self.assertIn("node bad is out of placement", c.router.log())
            listed = tool("nodes", "--router", c.cluster_address).stdout
            self.assertRegex(listed, r"bad +decode +\S+ +OUT")
            self.assertIn("bad is out of placement: its answer", listed)
            for seed in range(6):
                *_, metadata = stream(c, request(random_ids(50, seed), max_tokens=4))
                self.assertNotIn("bad", metadata["kedge-decode-node"])

    def test_whoever_comes_first_the_model_is_the_routers(self):
        router = Process("router", "--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0", "--model", MODEL)
        strangers = [Process(role, "--listen", "127.0.0.1:0", "--router", router.cluster_address(), "--model", OTHER_MODEL,
                             "--kv-memory", "16") for role in ("prefill", "decode")]
        for stranger in strangers:
            wait_for(lambda: "fingerprint of model and adapter: the node's is " + sha256(OTHER_MODEL) in stranger.log(),
                     "a refusal", 20)
        result = tool("nodes", "--router", router.cluster_address(), "--format", "json")
        self.assertEqual(result.stdout.strip(), "[]")
        for process in strangers + [router]:
            process.end()
        with running() as c:
            self.assertEqual(c.models.GetModelInfo(model_pb2.GetModelInfoRequest()).fingerprint, sha256(MODEL))

    def test_a_replaced_file_of_equal_size_and_time_is_another_model(self):
        path = os.path.join(TMP, "replaced.gguf")
        shutil.copy(MODEL, path)
        let_be_remembered(path)
        before = os.stat(path)
        shutil.copy(OTHER_MODEL, path + ".new")
        os.utime(path + ".new", ns=(before.st_atime_ns, before.st_mtime_ns))
        os.rename(path + ".new", path)
        after = os.stat(path)
        self.assertEqual((after.st_size, after.st_mtime_ns), (before.st_size, before.st_mtime_ns))
        with running() as c, cache_directory():
            node = c.add("decode", model=path)
            wait_for(lambda: "the node's is " + sha256(OTHER_MODEL) in node.log(), "a refusal", 20)
            self.assertEqual(len(c.list()), 2)

    def test_audits_and_rounds_of_known_answers_leave_right_nodes_alone(self):
        with running(prefill=2, decode=2, policy="salient", router_flags=("--audit", "1", "--known-answers", "1")) as c:
            def steps():
                return sum(node.engine_steps for node in c.list())
            alone = steps()
            wait_for(lambda: steps() > alone, "a further round", 10)
            answers = [stream(c, request(random_ids(60 + i, i), max_tokens=12, temperature=float(i % 2), seed=i))[0]
                       for i in range(12)]
            again = [stream(c, request(random_ids(60 + i, i), max_tokens=12, temperature=float(i % 2), seed=i))[0]
                     for i in range(12)]
            self.assertEqual(answers, again)
            wait_for(lambda: c.reserved_rows() == 0, "the end of all audits", 20)
            self.assertEqual([node.out for node in c.list()], [""] * 4, c.router.log())
            self.assertNotIn("audit", c.router.log())


if __name__ == "__main__":
    copy_programs()
    for model, seed in ((MODEL, 1), (OTHER_MODEL, 2)):
        make_model(model, "tiny", seed)
    unittest.main(verbosity=2)
