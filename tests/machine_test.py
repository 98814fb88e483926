#!/usr/bin/env python3
"""What machines do to the real processes: no disk, no home, limits, IPv6, numbers that are none, bytes that are no text.

Run by Bazel with the paths of the programs; running_cluster.py says what it needs.
"""
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

import grpc

from programs import BIN, ENVIRONMENT, TMP, TOOL, children, copy_programs, is_alive, make_model
from running_cluster import MODEL, Process, inference_pb2_grpc, random_ids, request, running, stream, wait_for

MEDIUM_MODEL = os.path.join(TMP, "medium.gguf")  # slow enough to be watched at work
LOUD_MODEL = os.path.join(TMP, "loud.gguf")
DAMAGED_MODEL = os.path.join(TMP, "damaged.gguf")
RUN = ("run", "Hello there.", "--model", MODEL, "--max-tokens", "8", "--ignore-eos", "--policy", "window", "--format", "json")


def tool(*arguments, environment=ENVIRONMENT, limits=None, **kwargs):
    """`limits`: {resource: most}."""
    def limit():
        for kind, most in limits.items():
            resource.setrlimit(kind, (most, most))
    return subprocess.run([TOOL, *arguments], capture_output=True, timeout=120, env=environment,
                          preexec_fn=limit if limits else None, **kwargs)


def file_size(most):
    return {resource.RLIMIT_FSIZE: most}


def cache_at(path):
    return {**ENVIRONMENT, "XDG_CACHE_HOME": path}


class DiskTest(unittest.TestCase):
    def answer(self, result):
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)["token_ids"]

    def notices(self, result):
        return [line for line in result.stderr.decode().splitlines() if "going on without logs" in line]

    def test_caches_and_logs_are_optional_and_said_once(self):
        expected = tool(*RUN, environment=cache_at(os.path.join(TMP, "fine")))
        self.assertEqual(self.notices(expected), [])
        homeless = {key: value for key, value in ENVIRONMENT.items() if key not in ("HOME", "XDG_CACHE_HOME")}
        relative = {**homeless, "HOME": ".", "XDG_CACHE_HOME": "cache"}
        for name, environment, limit in (("no home", homeless, None), ("no absolute home", relative, None),
                                         ("no such place", cache_at("/proc/nowhere"), None),
                                         ("a file in the way", cache_at(MODEL), None),
                                         ("a full disk", cache_at(os.path.join(TMP, "full")), file_size(0)),
                                         ("a disk that gets full", cache_at(os.path.join(TMP, "filling")), file_size(100))):
            with self.subTest(name):
                result = tool(*RUN, environment=environment, limits=limit)
                self.assertEqual(self.answer(result), self.answer(expected))
                self.assertEqual(len(self.notices(result)), 1, result.stderr)
        self.assertFalse(os.path.exists(f"/tmp/kedge-{os.getuid()}"))

    def test_a_model_that_wants_calibration_needs_no_place_for_it(self):
        for environment, limit in ((cache_at("/proc/nowhere"), None), (cache_at(os.path.join(TMP, "full")), file_size(0))):
            result = tool("run", "Hello there.", "--model", MODEL, "--max-tokens", "2", "--ignore-eos",
                          environment=environment, limits=limit)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(b"for this time alone", result.stderr)

    def test_a_digest_that_cannot_be_kept_is_said_once(self):
        model = os.path.join(TMP, "old.gguf")
        shutil.copy(MODEL, model)
        os.utime(model, (1e9, 1e9))
        time.sleep(2.1)  # the digest of a file that may still change is never kept
        cache = os.path.join(TMP, "digest")
        os.makedirs(os.path.join(cache, "kedge"))
        in_the_way = os.path.join(cache, "kedge", "fingerprints")
        open(in_the_way, "w").close()
        for times in (1, 0):
            result = tool("run", "Hello there.", "--model", model, "--max-tokens", "2", "--policy", "window",
                          environment=cache_at(cache))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stderr.count(b"for its SHA-256: cannot write"), times, result.stderr)
            if times:
                os.remove(in_the_way)

    def test_what_a_process_said_is_shown_without_a_disk(self):
        for environment, limit in ((cache_at("/proc/nowhere"), None), (cache_at(os.path.join(TMP, "full")), file_size(0))):
            result = tool(*RUN, "--kv-memory", "1", "--host", "192.0.2.1", environment=environment, limits=limit)
            self.assertEqual(result.returncode, 1)
            self.assertIn("cannot listen on 192.0.2.1:0", result.stderr.decode())


class LimitsTest(unittest.TestCase):
    def test_too_few_files_are_said_and_not_waited_for(self):
        for files in (20, 64):
            result = tool(*RUN, limits={resource.RLIMIT_NOFILE: files})
            self.assertEqual(result.returncode, 1)
            self.assertIn(f"only {files} files may be open at once here, and 76 are needed: see ulimit -n",
                          result.stderr.decode())
        result = tool(*RUN, limits={resource.RLIMIT_NOFILE: 76})
        self.assertEqual(result.returncode, 0, result.stderr)
        for program in ("router", "prefill", "decode"):
            limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
            result = subprocess.run([os.path.join(BIN, f"kedge-{program}"), "--model", MODEL], capture_output=True,
                                    timeout=60, env=ENVIRONMENT, preexec_fn=limit)
            self.assertEqual(result.returncode, 1)
            self.assertIn(b"only 20 files may be open at once here, and 64 are needed: see ulimit -n", result.stderr)

    def test_an_address_space_that_is_limited_gets_less_kv_memory(self):
        result = tool(*RUN, limits={resource.RLIMIT_AS: 3 << 30})
        self.assertEqual(result.returncode, 0, result.stderr)


class NumbersTest(unittest.TestCase):
    def assert_internal(self, c, message, *words):
        with self.assertRaises(grpc.RpcError) as raised:
            stream(c, message)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.INTERNAL, raised.exception.details())
        for word in words:
            self.assertIn(word, raised.exception.details())

    def test_a_token_that_is_no_number_ends_its_request_and_no_other(self):
        with running(model=DAMAGED_MODEL) as c:
            good = [30 + i for i in range(40)]
            expected = stream(c, request(ids=good))[0]
            for ids in (good[:20] + [20] + good[20:], good + [20], [20] + good):
                position = ids.index(20)
                self.assert_internal(c, request(ids=ids), f"token {position}, layer 0", "not a number")
                self.assertEqual(stream(c, request(ids=good))[0], expected)
            logs = [node.log() for nodes in c.nodes.values() for node in nodes]
            self.assertTrue(any("not a number" in log for log in logs))
            wait_for(lambda: c.reserved_rows() == 0, "rows back", 5)

    def test_values_that_f16_does_not_hold_name_the_flag(self):
        with running(model=LOUD_MODEL, flags=("--kv-type", "f16")) as c:
            self.assert_internal(c, request(ids=random_ids(40, 1)), "--kv-type bf16")
            self.assert_internal(c, request(ids=[30]), "--kv-type bf16")
        with running(model=LOUD_MODEL, flags=("--kv-type", "bf16")) as c:
            self.assertEqual(len(stream(c, request(ids=random_ids(40, 1)))[0]), 24)

    def test_scores_of_such_rows_are_errors(self):
        for model, ids in ((LOUD_MODEL, "30,31,32"), (DAMAGED_MODEL, "30,20,31")):
            result = tool("score", "--model", model, "--policy", "full", "--kv-type", "f16", "--tokens", ids)
            self.assertEqual(result.returncode, 1)
            self.assertIn("a key or value", result.stderr.decode())
            self.assertEqual(result.stdout, b"")

    def test_a_bias_against_a_token_is_no_error(self):
        with running() as c:
            ids = stream(c, request(ids=[30, 31]))[0]
            biased = stream(c, request(ids=[30, 31], logit_bias={ids[0]: -100.0}))[0]
            self.assertEqual(len(biased), 24)
            self.assertNotIn(ids[0], biased)


class AddressTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError as error:
            raise unittest.SkipTest(f"no IPv6 here: {error}")

    def test_ipv6_keeps_its_brackets(self):
        with running(prefill=0, decode=0) as c:
            c.nodes["decode"].append(Process("decode", "--listen", "[::1]:0", "--advertise", "[::1]:0", "--router",
                                             c.cluster_address, "--model", MODEL, "--kv-memory", "64"))
            wait_for(lambda: sum(node.ready for node in c.list()) == 1, "the node")
            self.assertRegex(c.list()[0].address, r"^\[::1\]:[1-9][0-9]*$")
            self.assertEqual(len(stream(c, request(ids=[30, 31]))[0]), 24)

    def test_up_on_ipv6_is_reached_by_the_lines_that_it_prints(self):
        for host in ("::1", "[::1]", "::"):
            up = subprocess.Popen([TOOL, "up", "--model", MODEL, "--host", host, "--policy", "window"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT)
            try:
                self.assertRegex(up.stdout.readline(), r"^ready \[::1?\]:\d+$")
                up.stdout.readline()
                address = up.stdout.readline().split()[-1]
                self.assertRegex(address, r"^\[::1\]:\d+$")
                self.assertEqual(tool("health", "--router", address).stdout, b"SERVING\n")
            finally:
                up.send_signal(signal.SIGTERM)
                self.assertEqual(up.wait(timeout=20), 0)
                up.stdout.close()


class BytesTest(unittest.TestCase):
    def test_servers_name_the_flag_with_bytes_that_are_no_text(self):
        for program, flag in (("kedge-router", b"--model-name"), ("kedge-router", b"--policy"),
                              ("kedge-decode", b"--node-id"), ("kedge-prefill", b"--policy")):
            result = subprocess.run([os.path.join(BIN, program), "--model", MODEL, flag, b"a\xff"], capture_output=True,
                                    timeout=60, env=ENVIRONMENT)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(flag + b": is not valid UTF-8 at byte 1", result.stderr)

    def test_nodes_name_the_flag_of_a_gpu_that_their_backend_has_not(self):
        for program in ("kedge-decode", "kedge-prefill"):
            result = subprocess.run([os.path.join(BIN, program), "--model", MODEL, "--device", "0"], capture_output=True,
                                    timeout=60, env=ENVIRONMENT)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(b'--device: names a GPU, and the backend "cpu" computes on none', result.stderr)

    def test_a_line_of_a_chat_is_refused_and_the_next_one_answered(self):
        with running() as c:
            result = tool("chat", "--router", c.address, "--max-tokens", "3", "--ignore-eos",
                          input=b"hello\nb\xffd\nhello again\n")
            self.assertEqual(result.returncode, 1)
            cut = b"kedge: the answer is cut at 3 tokens (--max-tokens)\n"
            self.assertEqual(result.stderr, cut + b"kedge: this line: is not valid UTF-8 at byte 1\n" + cut)
            self.assertGreaterEqual(result.stdout.count(b"\n"), 2)


class UnreadLogTest(unittest.TestCase):
    def test_a_node_whose_stderr_nobody_reads_serves_and_ends(self):
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        os.set_blocking(write_end, False)
        with self.assertRaises(BlockingIOError):  # not even the first line has room
            while True:
                os.write(write_end, b"x" * 4096)
        os.set_blocking(write_end, True)
        with running(prefill=0, decode=0) as c:
            node = subprocess.Popen([os.path.join(BIN, "kedge-decode"), "--listen", "127.0.0.1:0", "--router", c.cluster_address,
                                     "--model", MODEL, "--kv-memory", "64", "--log-level", "trace"],
                                    stderr=write_end, env=ENVIRONMENT)
            os.close(write_end)
            try:
                wait_for(lambda: sum(node.ready for node in c.list()) == 1, "the node")
                self.assertEqual(len(stream(c, request(ids=[30, 31]))[0]), 24)
                node.send_signal(signal.SIGTERM)
                self.assertEqual(node.wait(timeout=20), 0)
            finally:
                node.kill()
                node.wait()


class DrainTest(unittest.TestCase):
    def begin(self, *flags):
        """A cluster with an answer under way: the process, a thread that reads, what it has read."""
        up = subprocess.Popen([TOOL, "up", "--model", MEDIUM_MODEL, "--policy", "window", *flags], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self.addCleanup(lambda: (up.kill(), up.wait(), up.stdout.close(), up.stderr.close()))
        address = up.stdout.readline().split()[1]
        channel = grpc.insecure_channel(address)
        self.addCleanup(channel.close)
        call = inference_pb2_grpc.InferenceServiceStub(channel).GenerateStream(request(random_ids(50, 1), max_tokens=1500))
        count = lambda part: sum(len(completion.token_ids) for completion in part.completions)
        answer = {"ids": count(next(call))}

        def read():
            try:
                for part in call:
                    answer["ids"] += count(part)
            except grpc.RpcError as error:
                answer["error"] = error
            answer["ended"] = time.time()
        reader = threading.Thread(target=read)
        reader.start()
        self.addCleanup(reader.join)
        return up, address, reader, answer

    def test_answers_end_within_the_time_that_a_flag_gives(self):
        up, address, reader, answer = self.begin("--drain", "100")
        started = children(up.pid)
        up.send_signal(signal.SIGTERM)
        wait_for(lambda: "stopping" in up.stderr.readline(), "the end to begin", 10)
        time.sleep(0.5)
        with grpc.insecure_channel(address) as other, self.assertRaises(grpc.RpcError):
            inference_pb2_grpc.InferenceServiceStub(other).Generate(request(ids=[30]), timeout=20)
        reader.join(timeout=100)
        self.assertNotIn("error", answer)
        self.assertEqual(answer["ids"], 1500)
        self.assertEqual(up.wait(timeout=10), 0)
        wait_for(lambda: not any(is_alive(child) for child in started), "children gone", 5)

    def test_the_time_is_not_exceeded(self):
        up, _, reader, answer = self.begin("--drain", "0.5")
        begin = time.time()
        up.send_signal(signal.SIGTERM)
        self.assertEqual(up.wait(timeout=20), 0)
        self.assertLess(time.time() - begin, 8)
        reader.join(timeout=10)
        self.assertEqual(answer["error"].code(), grpc.StatusCode.UNAVAILABLE)
        self.assertIn("the router is shutting down", answer["error"].details())

    def test_a_lone_decode_node_ends_answers_that_outgrow_it(self):
        grace = 3
        with running(model=MEDIUM_MODEL, policy="full", kv_memory="1") as c:
            length = min(node.total_rows for node in c.list()) * 7 // 10  # two at once have not the memory
            answers = [{"ids": 0}, {"ids": 0}]

            def read(seed, answer):
                message = request(random_ids(50, seed), max_tokens=length - 50)
                try:
                    for part in c.stub.GenerateStream(message, timeout=60):
                        answer["ids"] += sum(len(completion.token_ids) for completion in part.completions)
                        answer["moves"] = part.provenance.moves
                except grpc.RpcError as error:
                    answer["error"] = error
                answer["ended"] = time.time()
            readers = [threading.Thread(target=read, args=each) for each in enumerate(answers)]
            for reader in readers:
                reader.start()
            wait_for(lambda: all(answer["ids"] > 20 for answer in answers), "both answers under way")
            begin = time.time()
            self.assertEqual(c.nodes["decode"][0].end(), 0)
            for reader in readers:
                reader.join()
            late = [answer for answer in answers if "error" in answer]  # on a slow machine
            for answer in late:
                self.assertEqual(answer["error"].code(), grpc.StatusCode.UNAVAILABLE, answer["error"].details())
                self.assertGreater(answer["ended"] - begin, grace - 0.5)
            for answer in answers:
                self.assertTrue(answer in late or answer["ids"] == length - 50, answer)
            self.assertTrue(late or sum(answer["moves"] for answer in answers) > 0)

    def test_a_second_signal_ends_at_once(self):
        up, _, reader, answer = self.begin("--drain", "100")
        up.send_signal(signal.SIGINT)
        time.sleep(0.5)
        self.assertIsNone(up.poll())
        begin = time.time()
        up.send_signal(signal.SIGINT)
        self.assertEqual(up.wait(timeout=20), 0)
        self.assertLess(time.time() - begin, 3)
        reader.join(timeout=10)
        self.assertIn("error", answer)


if __name__ == "__main__":
    copy_programs()
    for path, kind, seed in ((MODEL, "tiny", 1), (MEDIUM_MODEL, "medium", 3), (LOUD_MODEL, "loud", 4),
                             (DAMAGED_MODEL, "damaged", 5)):
        make_model(path, kind, seed)
    unittest.main(verbosity=2)
