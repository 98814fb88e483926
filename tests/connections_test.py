#!/usr/bin/env python3
"""What connections do to the real processes: too many, silent ones, no descriptors left, and a door that is shut.

Run by Bazel with the paths of the programs; running_cluster.py says what it needs. `KEDGE_MODEL` names a model whose
first tokens are timed in the place of the tiny one's.
"""
import concurrent.futures
import contextlib
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest

import grpc

from attacks import (BEGIN, DATA, HEADERS, call_headers, close, connect, frame, secure, send_endless_headers,
                     send_unfinished)
from programs import TMP, copy_programs, make_model
from running_cluster import (MODEL, Process, model_pb2, model_pb2_grpc, random_ids, request, running, tool,
                             wait_for)

CERTS = os.path.join(TMP, "certs")
AGAIN = 1.0  # seconds after which somebody must be let in who comes when there is room again


def router(*flags, listen="127.0.0.1:0"):
    return Process("router", "--listen", listen, "--cluster-listen", "127.0.0.1:0", "--model", MODEL, *flags)


def tls_flags():
    """Of a router; and the credentials of its clients."""
    folder = os.path.join(CERTS, "localhost")
    if not os.path.exists(folder):
        result = tool("certs", CERTS, "router:localhost")
        assert result.returncode == 0, result.stderr
    with open(os.path.join(folder, "ca.pem"), "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    return ("--tls-cert", os.path.join(folder, "cert.pem"), "--tls-key", os.path.join(folder, "key.pem")), credentials


def open_channel(address, credentials=None):
    """With a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.ssl_target_name_override", "localhost")]
    if credentials is None:
        return grpc.insecure_channel(address, options[:1])
    return grpc.secure_channel(address, credentials, options)


def ask(channel, timeout=10):
    return model_pb2_grpc.ModelServiceStub(channel).Tokenize(model_pb2.TokenizeRequest(text="a"), timeout=timeout)


def wait_for_line(process, text):
    """In its log, which a thread of its own writes."""
    wait_for(lambda: text in process.log(), f"{text!r} in the log")


def asks(address, credentials=None):
    """Whether a client that comes now is served."""
    with open_channel(address, credentials) as channel:
        try:
            return bool(ask(channel, 1).token_ids)
        except grpc.RpcError:
            return False


def is_closed(connection):
    """Whether the other side has ended it; takes what has come."""
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def files(process):
    return len(os.listdir(f"/proc/{process.process.pid}/fd"))


def limit_files(process, count):
    hard = resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE, (count, hard))


class ConnectionsTest(unittest.TestCase):
    @contextlib.contextmanager
    def serving(self, *flags, credentials=None, **options):
        process = router(*flags, **options)
        address = process.address()
        try:
            with open_channel(address, credentials) as channel:
                self.assertTrue(ask(channel).token_ids)
                yield process, address, channel
        finally:
            process.end()

    def both(self):
        """Plain, and with TLS."""
        flags, credentials = tls_flags()
        return ("plain", (), None), ("TLS", flags, credentials)

    def test_who_comes_when_descriptors_are_free_again_is_served(self):
        for name, flags, credentials in self.both():
            with self.subTest(name), self.serving(*flags, credentials=credentials) as (process, address, channel):
                limit_files(process, files(process) + 20)
                for _ in range(3):
                    connections = [connect(address) for _ in range(200)]
                    wait_for(lambda: sum(map(is_closed, connections)) >= 150, "most are sent away", 10)
                    self.assertTrue(ask(channel).token_ids)  # who is in goes on
                    close(connections)
                    begin = time.monotonic()
                    wait_for(lambda: asks(address, credentials), "a new client is served", 10)
                    took = time.monotonic() - begin
                    print(f"{name}: served {took:.2f} s after descriptors were free", flush=True)
                    self.assertLessEqual(took, AGAIN)
                wait_for_line(process, "no descriptor is left")

    def test_who_is_too_many_is_sent_away_at_once(self):
        for name, flags, credentials in self.both():
            flags = (*flags, "--max-connections", "10", "--watchdog", "0")  # which would have one of the ten
            with self.subTest(name), self.serving(*flags, credentials=credentials) as (process, address, channel):
                silent = [connect(address) for _ in range(9)]
                time.sleep(0.2)
                late = [connect(address) for _ in range(100)]
                wait_for(lambda: all(map(is_closed, late)), "all are sent away", 2)
                self.assertFalse(any(map(is_closed, silent)))
                self.assertTrue(ask(channel).token_ids)
                close(silent + late)
                begin = time.monotonic()
                wait_for(lambda: asks(address, credentials), "a new client is served", 10)
                self.assertLessEqual(time.monotonic() - begin, AGAIN)
                wait_for_line(process, "(--max-connections)")

    def test_silent_connections_end_in_time(self):
        for name, flags, credentials in self.both():
            with self.subTest(name), self.serving(*flags, credentials=credentials) as (_, address, channel):
                silent = [connect(address) for _ in range(20)]
                begin = time.monotonic()
                wait_for(lambda: all(map(is_closed, silent)), "all are ended", 30)
                self.assertGreater(time.monotonic() - begin, 5)
                close(silent)
                self.assertTrue(ask(channel).token_ids)

    def test_many_connections_leave_no_descriptor_and_no_count(self):
        for name, flags, credentials in self.both():
            flags = (*flags, "--max-connections", "40")
            with self.subTest(name), self.serving(*flags, credentials=credentials) as (process, address, _):
                before = files(process)
                for _ in range(40):
                    connections = [connect(address) for _ in range(30)]
                    connections[0].sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100))
                    time.sleep(0.02)
                    close(connections)
                    wait_for(lambda: files(process) <= before + 2, "descriptors are given back", 10)
                for _ in range(50):
                    self.assertTrue(asks(address, credentials))
                wait_for(lambda: files(process) <= before + 2, "descriptors are given back", 10)
                self.assertNotIn("refused", process.log())

    def test_names_and_ipv6(self):
        with self.serving(listen="localhost:0") as (_, address, _):
            port = address.rsplit(":", 1)[1]
            self.assertTrue(asks(f"127.0.0.1:{port}"))
            with contextlib.suppress(OSError):
                socket.create_connection(("::1", int(port))).close()
                self.assertTrue(asks(f"[::1]:{port}"))

    def test_endless_headers_end_their_connection_and_hold_up_nobody(self):
        for name, flags, credentials in self.both():
            with self.subTest(name), self.serving(*flags, credentials=credentials) as (process, address, channel):
                done = threading.Event()
                with concurrent.futures.ThreadPoolExecutor(8) as pool:
                    floods = [pool.submit(send_endless_headers, address, done, credentials is not None)
                              for _ in range(8)]
                    try:
                        end = time.monotonic() + 3
                        while time.monotonic() < end:
                            self.assertTrue(ask(channel, 5).token_ids)
                    finally:
                        done.set()
                    self.assertGreater(min(flood.result() for flood in floods), 0)
                wait_for_line(process, "headers of more than 64 KiB")

    def test_a_message_of_gigabytes_ends_its_connection(self):
        for name, flags, credentials in self.both():
            with self.subTest(name), self.serving(*flags, credentials=credentials) as (process, address, channel):
                connection = connect(address)
                if credentials is not None:
                    connection = secure(connection)
                connection.sendall(BEGIN + frame(HEADERS, call_headers("/grpc.health.v1.Health/Check"), flags=4) +
                                   frame(DATA, b"\0\xff\xff\xff\xffsome"))
                connection.settimeout(5)
                with contextlib.suppress(ConnectionResetError, ssl.SSLError):
                    while connection.recv(4096):
                        pass
                connection.close()
                wait_for_line(process, "a message of more than 128 MiB")
                self.assertTrue(ask(channel).token_ids)

    def test_messages_without_end_end_their_connections(self):
        for name, flags, credentials in self.both():
            with self.subTest(name), self.serving(*flags, credentials=credentials) as (process, address, channel):
                send_unfinished(address, threading.Event(), most=1 << 30, secured=credentials is not None)
                wait_for_line(process, "messages that are not complete")
                # Those that ended have nothing any more: nobody else is judged by it.
                for _ in range(3):
                    text = "A few words. " * 15_000
                    model_pb2_grpc.ModelServiceStub(channel).Tokenize(model_pb2.TokenizeRequest(text=text), timeout=60)

    def test_others_get_their_first_token_meanwhile(self):
        model = os.environ.get("KEDGE_MODEL") or MODEL
        with running(prefill=0, decode=1, model=model, router_flags=("--max-connections", "50")) as cluster:
            def first_tokens(count):
                times = []
                for seed in range(count):
                    begin = time.monotonic()
                    call = cluster.stub.GenerateStream(request(random_ids(30, seed), max_tokens=2), timeout=30)
                    next(call)
                    times.append(time.monotonic() - begin)
                    list(call)
                return sorted(times)[int(0.99 * (count - 1))]

            first_tokens(20)
            for name, attack, sign in (("connections that are sent away", "connections", "(--max-connections)"),
                                       ("endless headers", "headers", "headers of more than 64 KiB")):
                before = first_tokens(300)
                attacker = subprocess.Popen([sys.executable, "tests/attacks.py", attack, cluster.address])
                try:
                    wait_for(lambda: sign in cluster.router.log(), "the attack is felt", 60)
                    during = first_tokens(300)
                    self.assertIsNone(attacker.poll())
                finally:
                    attacker.kill()
                    attacker.wait()
                print(f"p99 of the first token beside {name}: {during / before:.2f} times", flush=True)
                with self.subTest(name):
                    # 1.2 is what is wanted; other processes of a machine under test make it more.
                    self.assertLessEqual(during, max(3 * before, before + 0.1))
            self.assertIn("(--max-connections)", cluster.router.log())


class WatchdogTest(unittest.TestCase):
    def test_a_process_that_lets_nobody_in_ends_and_one_that_was_stopped_does_not(self):
        process = router("--watchdog", "3")
        try:
            address = process.address()
            time.sleep(1.5)
            process.process.send_signal(signal.SIGSTOP)
            time.sleep(6)
            process.process.send_signal(signal.SIGCONT)
            time.sleep(3)
            self.assertIsNone(process.process.poll(), process.log())
            self.assertTrue(asks(address))
            limit_files(process, 0)
            self.assertEqual(process.process.wait(timeout=30), 1)
            wait_for_line(process, "nobody has been let in here for 3s")
        finally:
            process.process.kill()

    def test_a_full_house_is_no_shut_door(self):
        process = router("--watchdog", "1.5", "--max-connections", "3")
        try:
            address = process.address()
            with contextlib.ExitStack() as stack:
                for _ in range(3):
                    channel = stack.enter_context(open_channel(address))
                    with contextlib.suppress(grpc.RpcError):  # the watchdog has perhaps one of the three
                        ask(channel)
                time.sleep(5)
                self.assertIsNone(process.process.poll(), process.log())
        finally:
            process.end()


class NodesTest(unittest.TestCase):
    def test_no_more_nodes_than_may_be(self):
        with running(prefill=0, decode=1, router_flags=("--max-nodes", "1")) as cluster:
            node = cluster.add("decode")
            wait_for(lambda: "1 nodes are registered, and no more may be" in cluster.router.log(), "it is refused")
            wait_for(lambda: "no more may be" in node.log(), "the node's log says so")
            self.assertEqual(len(cluster.list()), 1)


if __name__ == "__main__":
    copy_programs()
    make_model(MODEL, "tiny", 1)
    unittest.main(verbosity=2)
