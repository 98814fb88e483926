#!/usr/bin/env python3
"""The doors of the real processes: who is let in, who is not, and what happens when certificates and keys change.

Run by Bazel with the paths of the programs; running_cluster.py says what it needs.
"""
import concurrent.futures
import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest

import grpc

from programs import BIN, ENVIRONMENT, TMP, copy_programs, make_model, read
from running_cluster import (MODEL, Cluster, Process, cluster_pb2, cluster_pb2_grpc, inference_pb2_grpc, model_pb2,
                             model_pb2_grpc, random_ids, request, stream, tool, wait_for)

subprocess.run(["protoc", "-Iprotos", f"--python_out={TMP}", f"--grpc_out={TMP}",
                f"--plugin=protoc-gen-grpc={shutil.which('grpc_python_plugin')}",
                "kedge/node/v1/node.proto"], check=True)
from kedge.node.v1 import node_pb2, node_pb2_grpc  # noqa: E402

# What is used here of gRPC's reflection.proto, which Debian packages nowhere.
REFLECTION = """syntax = "proto3";
package grpc.reflection.v1alpha;
message ServerReflectionRequest { string file_containing_symbol = 4; string list_services = 7; }
message ServerReflectionResponse {
  message Files { repeated bytes file_descriptor_proto = 1; }
  message Service { string name = 1; }
  message Services { repeated Service service = 1; }
  Files file_descriptor_response = 4;
  Services list_services_response = 6;
}
"""
with open(os.path.join(TMP, "reflection.proto"), "w", encoding="utf-8") as file:
    file.write(REFLECTION)
subprocess.run(["protoc", f"-I{TMP}", f"--python_out={TMP}", "reflection.proto"], check=True)
import reflection_pb2  # noqa: E402
from google.protobuf import descriptor_pb2  # noqa: E402

CERTS = os.path.join(TMP, "certs")
OTHER_CERTS = os.path.join(TMP, "other-certs")  # of another authority
GHZ = os.environ.get("KEDGE_GHZ")  # the program
WITHIN = 10  # seconds, in which a change of files must have come to all
PROTOCOL_VERSION = 8  # common/rpc/protocol.h
REFUSED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)


def certs(*arguments, directory=CERTS):
    result = tool("certs", directory, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def file_of(name, file, directory=CERTS):
    with open(os.path.join(directory, name, file), "rb") as opened:
        return opened.read()


def credentials(name, directory=CERTS):
    """What the member of this name shows, and trusts."""
    return grpc.ssl_channel_credentials(file_of(name, "ca.pem", directory), file_of(name, "key.pem", directory),
                                        file_of(name, "cert.pem", directory))


def channel(address, credential, name="localhost"):
    """With a connection of its own. None: a plain one. `name`: what the server's certificate is held against."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    if credential is None:
        return grpc.insecure_channel(address, options)
    return grpc.secure_channel(address, credential, options + [("grpc.ssl_target_name_override", name)])


def serial(name):
    """In hex; in the certificate it stands behind the version, which is always the third."""
    bytes_of_it = ssl.PEM_cert_to_DER_cert(file_of(name, "cert.pem").decode())
    _, _, rest = bytes_of_it.partition(b"\xa0\x03\x02\x01\x02\x02")
    return rest[1:1 + rest[0]].hex().upper()


def info(node_id, role=node_pb2.ROLE_DECODE, address="127.0.0.1:1"):
    return node_pb2.NodeInfo(protocol_version=PROTOCOL_VERSION, node_id=node_id, role=role, address=address, fingerprint="f",
                             numerics_class="c", kv_type="q8", row_bytes=1, total_rows=1)


def register(opened, node):
    list(node_pb2_grpc.RegistryServiceStub(opened).Register(iter([node_pb2.RegisterRequest(info=node)]), timeout=10))


# Of another model: refused, but behind the door.
CONTENT = node_pb2.Content(ids=[20, 21], prompt_length=2, policy="full", fingerprint="another")


def decode(opened):
    list(node_pb2_grpc.DecodeServiceStub(opened).Decode(node_pb2.DecodeRequest(content=CONTENT), timeout=10))


def prefill(opened):
    list(node_pb2_grpc.PrefillServiceStub(opened).Prefill(node_pb2.PrefillRequest(content=CONTENT), timeout=10))


def start_of(program, *flags):
    """Of a program that will not start."""
    return subprocess.run([os.path.join(BIN, f"kedge-{program}"), "--model", MODEL, *flags], capture_output=True,
                          text=True, timeout=60, env=ENVIRONMENT)


def list_nodes(opened):
    return cluster_pb2_grpc.ClusterServiceStub(opened).ListNodes(cluster_pb2.ListNodesRequest(), timeout=10).nodes


def reflected_methods(opened):
    """All methods of a listener, as it tells them itself: {"/package.Service/Method": whether it streams answers}."""
    ask = opened.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                               reflection_pb2.ServerReflectionRequest.SerializeToString,
                               reflection_pb2.ServerReflectionResponse.FromString)

    def answer(**request_fields):
        return next(ask(iter([reflection_pb2.ServerReflectionRequest(**request_fields)]), timeout=10))
    found = {}
    for listed in answer(list_services="*").list_services_response.service:
        files = answer(file_containing_symbol=listed.name).file_descriptor_response.file_descriptor_proto
        for file in map(descriptor_pb2.FileDescriptorProto.FromString, files):
            for service in file.service:
                if f"{file.package}.{service.name}" == listed.name:
                    found.update({f"/{listed.name}/{method.name}": method.server_streaming
                                  for method in service.method})
    return found


class SecureCluster:
    """Processes with certificates that listen on all addresses."""

    def __init__(self, decode_nodes=2, days=365):
        self.members = ["router:localhost,127.0.0.1", "prefill:prefill-0",
                        *(f"decode:decode-{i}" for i in range(decode_nodes)), "admin:ops"]
        certs(*self.members, "--days", str(days))
        self.start_router("0.0.0.0:0")
        self.cluster_address = self.router.cluster_address().replace("0.0.0.0", "localhost")
        self.nodes = {name: self.start(name) for name in ("prefill-0", *(f"decode-{i}" for i in range(decode_nodes)))}
        self.addresses = {name: node.address().replace("0.0.0.0", "localhost") for name, node in self.nodes.items()}
        self.ops = channel(self.cluster_address, credentials("ops"))
        self.wait_until_ready(1 + decode_nodes)

    def start_router(self, cluster_listen):
        self.router = Process("router", "--listen", "127.0.0.1:0", "--cluster-listen", cluster_listen, "--tls-dir",
                              os.path.join(CERTS, "localhost"), "--model", MODEL, "--policy", "window")
        self.address = self.router.address()

    def restart_router(self):
        """Where it was, for nodes; clients find it elsewhere."""
        self.router.end()
        self.start_router(self.cluster_address.replace("localhost", "0.0.0.0"))
        self.reopen()

    def reopen(self):
        """Asks by a new connection from now on."""
        self.ops.close()
        self.ops = channel(self.cluster_address, credentials("ops"))

    def start(self, name, *flags):
        return Process(name.split("-")[0], "--listen", "0.0.0.0:0", "--router", self.cluster_address, "--tls-dir",
                       os.path.join(CERTS, name), "--model", MODEL, "--threads", "1", "--kv-memory", "64",
                       *(flags or ("--advertise", "localhost:0")))

    def ready(self):
        return sorted(node.node_id for node in list_nodes(self.ops) if node.ready)

    def wait_until_ready(self, count):
        wait_for(lambda: len(self.ready()) == count, f"{count} nodes ready")

    def close(self):
        self.ops.close()
        for process in [*self.nodes.values(), self.router]:
            process.end()


@contextlib.contextmanager
def secured(*arguments, **options):
    cluster = SecureCluster(*arguments, **options)
    try:
        yield cluster
    finally:
        cluster.close()


class LoopbackTest(unittest.TestCase):
    def test_without_certificates_nobody_listens_or_is_told_of_outside(self):
        for program, flags in (("router", ["--cluster-listen", "0.0.0.0:0"]),
                               ("router", ["--cluster-listen", "[::]:0"]),
                               ("decode", ["--listen", "0.0.0.0:0"]), ("prefill", ["--listen", "0.0.0.0:0"]),
                               ("decode", ["--advertise", "host-a.example:0"])):
            result = start_of(program, *flags)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(f"{flags[0]}: {flags[1]} can be reached from outside", result.stderr)
            self.assertIn("`./kedge certs` makes certificates", result.stderr)

    def test_clients_find_no_door_to_the_cluster(self):
        cluster = Cluster(prefill=0, decode=1)
        try:
            for call in (lambda: register(cluster.channel, info("decode-9")), lambda: list_nodes(cluster.channel)):
                with self.assertRaises(grpc.RpcError) as raised:
                    call()
                self.assertEqual(raised.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
            for address in ("10.0.0.1:1", "unix:/tmp/s", "unix:7"):
                with self.assertRaises(grpc.RpcError) as raised:
                    register(cluster.cluster_channel, info("decode-9", address=address))
                self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
            with self.assertRaises(grpc.RpcError) as raised:
                candidates = [node_pb2.PrefillCandidate(node_id="p", address="unix:/tmp/s")]
                with grpc.insecure_channel(cluster.list()[0].address) as opened:
                    list(node_pb2_grpc.DecodeServiceStub(opened).Decode(
                        node_pb2.DecodeRequest(content=CONTENT, prefill_candidates=candidates), timeout=10))
            self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertIn("prefill_candidates[0].address", raised.exception.details())
        finally:
            cluster.close()


class CertificatesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(CERTS, ignore_errors=True)
        cls.c = SecureCluster()
        certs("decode:decode-9", "prefill:prefill-9", "router:router-9", "admin:ops-9")
        certs("router:localhost", "decode:decode-0", "admin:ops", directory=OTHER_CERTS)
        cls.channel = grpc.insecure_channel(cls.c.address)
        cls.c.stub = inference_pb2_grpc.InferenceServiceStub(cls.channel)

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()
        cls.c.close()

    def assert_refused(self, what, call, address, credential, name="localhost"):
        with channel(address, credential, name) as opened, self.assertRaises(grpc.RpcError, msg=what) as raised:
            call(opened)
        self.assertIn(raised.exception.code(), REFUSED, f"{what}: {raised.exception.details()}")
        return raised.exception

    def test_members_serve_over_tls_on_all_legs_as_without(self):
        plain = Cluster(prefill=1, decode=1)
        try:
            for seed in range(3):
                message = request(random_ids(120, seed))
                answer = self.c.stub.Generate(message)
                self.assertGreater(answer.usage.segment_bytes, 0)  # rows came from the prefill node
                self.assertEqual(answer.completions, plain.stub.Generate(message).completions)
        finally:
            plain.close()

    def test_strangers_are_refused_at_every_door_ten_of_ten(self):
        doors = {"register": (lambda opened: register(opened, info("decode-9")), self.c.cluster_address, "localhost"),
                 "list nodes": (list_nodes, self.c.cluster_address, "localhost"),
                 "decode": (decode, self.c.addresses["decode-0"], "decode-0"),
                 "prefill": (prefill, self.c.addresses["prefill-0"], "prefill-0")}
        strangers = {"plain": None, "no certificate": grpc.ssl_channel_credentials(file_of("ops", "ca.pem")),
                     # What it shows is another authority's, whatever it trusts.
                     "another authority": grpc.ssl_channel_credentials(
                         file_of("ops", "ca.pem"), file_of("decode-0", "key.pem", OTHER_CERTS),
                         file_of("decode-0", "cert.pem", OTHER_CERTS))}
        for door, (call, address, name) in doors.items():
            for stranger, credential in strangers.items():
                for _ in range(10):
                    error = self.assert_refused(f"{door}, {stranger}", call, address, credential, name)
                    self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(self.c.ready(), ["decode-0", "decode-1", "prefill-0"])

    def test_members_may_do_what_their_role_may_and_nothing_else(self):
        doors = {"register": (lambda opened: register(opened, info("decode-9")), self.c.cluster_address, "localhost",
                              ()),
                 "list nodes": (list_nodes, self.c.cluster_address, "localhost", ("ops-9", "router-9")),
                 "decode": (decode, self.c.addresses["decode-0"], "decode-0", ("router-9",)),
                 "prefill": (prefill, self.c.addresses["prefill-0"], "prefill-0", ("router-9", "decode-9"))}
        for door, (call, address, name, allowed) in doors.items():
            for member in ("decode-9", "prefill-9", "router-9", "ops-9"):
                if member in allowed:
                    with channel(address, credentials(member), name) as opened:
                        try:
                            call(opened)
                        except grpc.RpcError as error:  # the empty message is another matter
                            self.assertNotIn(error.code(), REFUSED, f"{door}, {member}: {error.details()}")
                elif (door, member) != ("register", "decode-9"):
                    self.assert_refused(f"{door}, {member}", call, address, credentials(member), name)

    def test_a_node_registers_under_the_name_and_role_of_its_certificate_alone(self):
        for node, member, field in ((info("decode-0"), "decode-9", "node_id"),
                                    (info("decode-8"), "decode-9", "node_id"),
                                    (info("decode-9", role=node_pb2.ROLE_PREFILL), "decode-9", "role"),
                                    (info("prefill-9"), "prefill-9", "role")):
            error = self.assert_refused(f"{node.node_id} by {member}", lambda opened: register(opened, node),
                                        self.c.cluster_address, credentials(member))
            self.assertEqual(error.code(), grpc.StatusCode.PERMISSION_DENIED)
            self.assertTrue(error.details().startswith(field + ": "), error.details())

    def test_a_node_is_called_back_under_its_name(self):
        # decode-9, a proper node, says that it is where decode-0 listens.
        node = self.c.start("decode-9", "--advertise", self.c.addresses["decode-0"])
        try:
            at = f"the router called back at {self.c.addresses['decode-0']}"
            wait_for(lambda: at in node.log(), "its log says why")
            self.assertNotIn("decode-9", [node.node_id for node in list_nodes(self.c.ops)])
        finally:
            node.end()

    def test_programs_say_what_is_wrong_with_their_certificate(self):
        for flags, said in ((["--tls-dir", os.path.join(CERTS, "prefill-9")], "is no certificate of a decode node"),
                            (["--tls-dir", os.path.join(CERTS, "decode-9"), "--node-id", "decode-8"],
                             "--node-id: decode-8 is none of the names in cert.pem: decode-9"),
                            (["--tls-dir", os.path.join(CERTS, "nobody")], "ca.pem: No such file")):
            result = start_of("decode", *flags)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(said, result.stderr)
        result = start_of("router", "--tls-dir", os.path.join(CERTS, "decode-9"))
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("is no certificate of a router", result.stderr)

    def test_the_tool_lists_nodes_with_a_certificate_of_an_admin(self):
        result = tool("nodes", "--router", self.c.cluster_address, "--tls-dir", os.path.join(CERTS, "ops"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.count(" yes "), 3)
        self.assertTrue(result.stdout.startswith("NODE "), result.stdout)
        self.assertEqual(tool("nodes", "--router", self.c.cluster_address).returncode, 1)
        result = tool("nodes", "--router", self.c.cluster_address, "--tls-dir", os.path.join(CERTS, "decode-9"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("PERMISSION_DENIED", result.stderr)

    def test_rotation_drops_no_stream_and_serves_new_connections(self):
        message = request(random_ids(40, 5), max_tokens=400)
        expected = stream(self.c, message)[0]
        names = {"localhost": "router:localhost,127.0.0.1", "prefill-0": "prefill:prefill-0",
                 "decode-0": "decode:decode-0", "decode-1": "decode:decode-1", "ops": "admin:ops"}
        host, port = self.c.cluster_address.split(":")

        def shown():
            context = ssl.create_default_context(cafile=os.path.join(CERTS, "ops", "ca.pem"))
            context.load_cert_chain(os.path.join(CERTS, "ops", "cert.pem"), os.path.join(CERTS, "ops", "key.pem"))
            context.set_alpn_protocols(["h2"])
            with socket.create_connection((host, int(port))) as raw:
                with context.wrap_socket(raw, server_hostname=host) as wrapped:
                    return wrapped.getpeercert()["serialNumber"]

        done = threading.Event()

        def write_on():
            answers = [stream(self.c, message)[0]]
            while not done.is_set():
                answers.append(stream(self.c, message)[0])
            return answers
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            streams = [pool.submit(write_on) for _ in range(4)]
            try:
                for _ in range(2):
                    old = {name: serial(name) for name in names}
                    wait_for(lambda: shown() == old["localhost"], "the certificate of before", WITHIN)
                    certs(*names.values())
                    self.assertTrue(all(serial(name) != old[name] for name in names))
                    wait_for(lambda: shown() == serial("localhost"), "the new certificate", WITHIN)
            finally:
                done.set()
            for answers in (future.result() for future in streams):
                self.assertTrue(all(answer == expected for answer in answers))
        for node in self.c.nodes.values():
            self.assertNotIn("not registered", node.log())
        # A node that starts with its new certificate joins.
        self.c.nodes["decode-1"].end()
        self.c.nodes["decode-1"] = self.c.start("decode-1")
        wait_for(lambda: self.c.ready() == ["decode-0", "decode-1", "prefill-0"], "the node is back")


class RevocationTest(unittest.TestCase):
    def test_a_revoked_node_is_out_within_seconds_and_a_new_certificate_brings_it_back(self):
        with secured() as c:
            with grpc.insecure_channel(c.address) as opened:
                c.stub = inference_pb2_grpc.InferenceServiceStub(opened)
                ids = random_ids(40, 7)
                expected = stream(c, request(ids, max_tokens=100))[0]
                prefill_channel = channel(c.addresses["prefill-0"], credentials("decode-0"), "prefill-0")
                with self.assertRaises(grpc.RpcError) as raised:
                    prefill(prefill_channel)
                self.assertNotIn(raised.exception.code(), REFUSED, raised.exception.details())
                old = credentials("decode-0")
                start = time.time()
                result = tool("certs", CERTS, "--revoke", "decode-0")
                self.assertEqual(result.returncode, 0, result.stderr)
                wait_for(lambda: c.ready() == ["decode-1", "prefill-0"], "the revoked node is out", WITHIN)

                def is_refused():
                    try:
                        prefill(prefill_channel)
                    except grpc.RpcError as error:
                        return error.code() == grpc.StatusCode.PERMISSION_DENIED and "was revoked" in error.details()
                wait_for(is_refused, "calls over its open connection are refused", WITHIN)
                print(f"out after {time.time() - start:.1f} s")
                with channel(c.cluster_address, old) as again, self.assertRaises(grpc.RpcError) as raised:
                    register(again, info("decode-0"))
                self.assertEqual(raised.exception.code(), grpc.StatusCode.PERMISSION_DENIED)
                wait_for(lambda: "refuses this node: the certificate" in c.nodes["decode-0"].log(), "its log says so")
                for _ in range(4):
                    ids_now, _, _, trailing = stream(c, request(ids, max_tokens=100))
                    self.assertEqual((ids_now, trailing["kedge-decode-node"]), (expected, "decode-1"))
                prefill_channel.close()
                certs("decode:decode-0")
                wait_for(lambda: len(c.ready()) == 3, "back with a new certificate", 20)
                wait_for(lambda: self.serves_with_rows(c, "decode-0"), "back at the prefill node's door too")

    def test_old_certificates_may_be_revoked_once_new_ones_are_there(self):
        # Connections that were made before go on until then, with the old ones.
        with secured(decode_nodes=1) as c, grpc.insecure_channel(c.address) as opened:
            c.stub = inference_pb2_grpc.InferenceServiceStub(opened)
            wait_for(lambda: self.serves_with_rows(c, "decode-0"), "before")
            names = ("localhost", "prefill-0", "decode-0")
            old = [serial(name) for name in names]
            certs(*c.members)
            time.sleep(3)  # the files are read every second
            for name in names:
                with open(os.path.join(CERTS, name, "revoked"), "a", encoding="utf-8") as file:
                    file.write("\n".join(old) + "\n")
            wait_for(lambda: "was revoked" in "".join(node.log() for node in c.nodes.values()), "they are refused")
            wait_for(lambda: self.serves_with_rows(c, "decode-0"), "all know each other again")

    @staticmethod
    def serves_with_rows(c, node, seeds=iter(range(1000, 2000))):
        """Whether an answer comes from that decode node, with rows that a prefill node computed for it."""
        try:
            _, _, last, trailing = stream(c, request(random_ids(60, next(seeds))), timeout=10)
        except grpc.RpcError:
            return False
        return trailing["kedge-decode-node"] == node and last.usage.segment_bytes > 0


class KeysTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.keys = os.path.join(TMP, "keys")
        certs("admin:api.example,localhost", directory=OTHER_CERTS)  # any certificate will do for clients
        cls.folder = os.path.join(OTHER_CERTS, "api.example")
        cls.key = cls.new_key("acme")
        cls.c = Cluster(prefill=1, decode=1, router_flags=(
            "--tls-cert", os.path.join(cls.folder, "cert.pem"), "--tls-key", os.path.join(cls.folder, "key.pem"),
            "--keys", cls.keys))

    @classmethod
    def tearDownClass(cls):
        cls.c.close()

    @classmethod
    def new_key(cls, tenant):
        result = tool("key", tenant)
        assert result.returncode == 0, result.stderr
        with open(cls.keys, "a", encoding="utf-8") as file:
            file.write(result.stdout)
        assert result.stdout.startswith(tenant + " ")
        return result.stderr.split()[-1]

    def open(self):
        authority = grpc.ssl_channel_credentials(file_of("api.example", "ca.pem", OTHER_CERTS))
        return channel(self.c.address, authority, "api.example")

    @staticmethod
    def calls(opened, metadata):
        """Each method of the listener for clients."""
        inference, models = inference_pb2_grpc.InferenceServiceStub(opened), model_pb2_grpc.ModelServiceStub(opened)
        options = {"timeout": 30, "metadata": metadata}
        return {"Generate": lambda: inference.Generate(request([20, 21], max_tokens=4), **options),
                "GenerateStream": lambda: list(inference.GenerateStream(request([20, 21], max_tokens=4), **options)),
                "ListModels": lambda: models.ListModels(model_pb2.ListModelsRequest(), **options),
                "GetModelInfo": lambda: models.GetModelInfo(model_pb2.GetModelInfoRequest(), **options),
                "Tokenize": lambda: models.Tokenize(model_pb2.TokenizeRequest(text="a"), **options),
                "Detokenize": lambda: models.Detokenize(model_pb2.DetokenizeRequest(token_ids=[20]), **options)}

    @staticmethod
    def bearer(key):
        return [("authorization", f"Bearer {key}")]

    def test_each_method_needs_a_key(self):
        with self.open() as opened:
            for name, call in self.calls(opened, self.bearer(self.key)).items():
                self.assertTrue(call(), name)
            for metadata in ([], self.bearer(""), self.bearer(self.key[:-1]), self.bearer("x" * 1000),
                             [("authorization", self.key)], [("authorization", "Basic " + self.key)]):
                for name, call in self.calls(opened, metadata).items():
                    with self.assertRaises(grpc.RpcError, msg=name) as raised:
                        call()
                    self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAUTHENTICATED, name)
                    self.assertTrue(raised.exception.details().startswith("authorization: "))

    def test_every_method_that_exists_needs_a_key_but_health_and_reflection(self):
        unlocked = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")
        with self.open() as opened:
            methods = reflected_methods(opened)  # without a key
            self.assertEqual({path[:path.rindex("/") + 1] for path in methods},
                             {*unlocked, "/kedge.inference.v1.InferenceService/", "/kedge.inference.v1.ModelService/"})
            locked = {path: streams for path, streams in methods.items() if not path.startswith(unlocked)}
            self.assertEqual({path.rsplit("/", 1)[1] for path in locked}, set(self.calls(opened, [])))

            def code_of(path, message, metadata):
                make = opened.unary_stream if locked[path] else opened.unary_unary
                try:
                    answer = make(path)(message, timeout=10, metadata=metadata)
                    if locked[path]:
                        list(answer)
                except grpc.RpcError as error:
                    return error.code()
                return grpc.StatusCode.OK
            for path in locked:
                for message in (b"", b"\xff" * 20, bytes(1 << 20)):  # none, no message, and much that is none
                    for metadata in ([], self.bearer("x" * 43)):
                        self.assertEqual(code_of(path, message, metadata), grpc.StatusCode.UNAUTHENTICATED, path)
                self.assertNotEqual(code_of(path, b"", self.bearer(self.key)), grpc.StatusCode.UNAUTHENTICATED, path)

    def test_health_needs_no_key(self):
        with self.open() as opened:
            for service in (b"", b"\x0a\x23kedge.inference.v1.InferenceService"):
                check = opened.unary_unary("/grpc.health.v1.Health/Check")
                self.assertEqual(check(service, timeout=10), b"\x08\x01")  # SERVING
                watch = opened.unary_stream("/grpc.health.v1.Health/Watch")(service, timeout=10)
                self.assertEqual(next(watch), b"\x08\x01")
                watch.cancel()

    def test_a_plain_client_gets_nothing(self):
        with grpc.insecure_channel(self.c.address) as opened:
            for name, call in self.calls(opened, self.bearer(self.key)).items():
                with self.assertRaises(grpc.RpcError, msg=name) as raised:
                    call()
                self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE, name)

    def test_the_tool_takes_authority_and_key(self):
        port = self.c.address.rsplit(":", 1)[1]
        call = ["generate", "--router", f"localhost:{port}", "--tls-ca", os.path.join(self.folder, "ca.pem"),
                "--tokens", "20,21", "--max-tokens", "3", "--ignore-eos", "--format", "json"]
        result = tool(*call)
        self.assertEqual(result.returncode, 1)
        self.assertIn("UNAUTHENTICATED", result.stderr)
        self.assertEqual(tool(*call, "--api-key", self.key).returncode, 0)
        result = subprocess.run([os.path.join(BIN, "kedge"), *call], capture_output=True, text=True, timeout=60,
                                env={**ENVIRONMENT, "KEDGE_API_KEY": self.key})
        self.assertEqual(result.returncode, 0, result.stderr)

    @unittest.skipUnless(GHZ, "KEDGE_GHZ does not name the program ghz (README.md says how to get it)")
    def test_ghz_comes_in_by_tls_with_a_key(self):
        def codes(*flags):
            result = subprocess.run([GHZ, "--call", "kedge.inference.v1.InferenceService/Generate", "-c", "4", "-n",
                                     "20", "-d", '{"text": "An anchor is", "sampling_params": {"max_tokens": 32}}',
                                     "--format", "json", *flags, self.c.address],
                                    capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 0, result.stderr)
            return json.loads(result.stdout)["statusCodeDistribution"]
        tls = ("--cacert", os.path.join(self.folder, "ca.pem"), "--cname", "api.example")
        self.assertEqual(codes(*tls, "-m", json.dumps({"authorization": f"Bearer {self.key}"})), {"OK": 20})
        self.assertEqual(codes(*tls), {"Unauthenticated": 20})

    def test_keys_come_and_go_while_the_router_runs(self):
        key = self.new_key("b.org")
        with self.open() as opened:
            call = self.calls(opened, self.bearer(key))["ListModels"]

            def works():
                try:
                    return bool(call())
                except grpc.RpcError as error:
                    self.assertEqual(error.code(), grpc.StatusCode.UNAUTHENTICATED)
                    return False
            wait_for(works, "the new key", WITHIN)
            lines = read(self.keys)
            with open(self.keys, "w", encoding="utf-8") as file:
                file.write("nonsense\n")
            wait_for(lambda: "the keys stay as they were" in self.c.router.log(), "the log says why", WITHIN)
            self.assertIn("line 1: is not TENANT", self.c.router.log())
            self.assertTrue(works())
            with open(self.keys, "w", encoding="utf-8") as file:
                file.write("".join(line for line in lines.splitlines(True) if not line.startswith("b.org")))
            wait_for(lambda: not works(), "the key that was taken away", WITHIN)
            self.assertTrue(self.calls(opened, self.bearer(self.key))["ListModels"]())


if __name__ == "__main__":
    copy_programs()
    make_model(MODEL, "tiny", 1)
    unittest.main(verbosity=2)
