"""`bench peers` with programs made of shell and a server made of Python: what is run, in which order, and printed."""
import contextlib
import io
import json
import os
import stat
import tarfile
import tempfile
import time
import unittest
from unittest import mock

from bench.peers import bench_peers, contestants, peer_build
from bench.program import Failed, call

# Stands for llama-batched-bench: 100 tokens/s of reading, 10 of writing, or what SPEED says.
BATCHED_BENCH = """#!/bin/sh
echo "$*" >> "$(dirname "$0")/log"
echo '{"pp": 1, "speed_pp": 100.0, "speed_tg": '$(cat "$(dirname "$0")/speed")'}'
"""

# Stands for llama-server: 0.2 s to the first token.
SERVER = """#!/usr/bin/env python3
import http.server, json, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["stream"] and not body["cache_prompt"]
        self.send_response(200); self.end_headers()
        if body["prompt"] and len(body["prompt"]) > 100:
            time.sleep(0.2)
        for _ in range(body["n_predict"]):
            self.wfile.write(b'data: {"content": "a"}\\n\\n'); self.wfile.flush()
    def log_message(self, *arguments): pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""

# Stands for the tool: 200 tokens/s of everything, half of the limit, 0.1 s to the first token.
KEDGE = """#!/usr/bin/env python3
import json, os, sys
with open(os.path.join(os.path.dirname(sys.argv[0]), "log"), "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
def after(flag): return sys.argv[sys.argv.index(flag) + 1]
if sys.argv[1:3] == ["model", "fetch"]:
    print(os.path.join(os.path.dirname(sys.argv[0]), "model.gguf"))
elif sys.argv[1:3] == ["model", "inspect"]:
    print(json.dumps({"vocab_size": 1000, "salience_heads": "retrieval=1.2"}))
elif sys.argv[1:3] == ["bench", "engine"]:
    if os.path.exists(os.path.join(os.path.dirname(sys.argv[0]), "fails")): sys.exit("it broke")
    print(json.dumps({"rows": [{"work": work, "tokens_per_s": 200, "share_of_limit": 0.5}
                               for work in after("--works").split(",")]}))
else:
    print(json.dumps({"ttft_ms": {"p50": 100}}))
"""

CMAKE = """#!/bin/sh
echo "$*" >> "$LOG"
[ "$1" = --build ] || { mkdir -p "$4/bin"; exit 0; }
cp "$FAKES"/llama-* "$2/bin/"
"""

PIP = """#!/bin/sh
[ "$1" = -m ] || exec "$PYTHON" "$@"
echo "pip $*" >> "$LOG"
[ ! -e "$FAKES/offline" ] || { echo "ERROR: no network" >&2; exit 1; }
while [ "$1" != -d ]; do shift; done
cp "$FAKES/sdist.tar.gz" "$2/llama_cpp_python-0.tar.gz"
"""

QUANTIZE = """#!/bin/sh
echo "quantize $*" >> "$LOG"
eval "made=\\${$(($# - 1))}"
: > "$made"
"""


class PeersTest(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.root = place.name
        self.fakes = os.path.join(self.root, "fakes")
        self.programs = os.path.join(self.root, "programs")
        self.cache = os.path.join(self.root, "cache")
        self.log = os.path.join(self.root, "log")
        for folder in (self.fakes, self.programs):
            os.makedirs(folder)
        self.program(self.fakes, "llama-batched-bench", BATCHED_BENCH)
        self.program(self.fakes, "llama-server", SERVER)
        self.program(self.fakes, "llama-quantize", QUANTIZE)
        self.program(self.fakes, "cmake", CMAKE)
        self.program(self.fakes, "python3", PIP)
        self.program(self.programs, "kedge", KEDGE)
        self.write(os.path.join(self.programs, "model.gguf"), "model")
        source = os.path.join(self.root, "CMakeLists.txt")
        self.write(source, "project")
        with tarfile.open(os.path.join(self.fakes, "sdist.tar.gz"), "w:gz") as archive:
            archive.add(source, "llama_cpp_python-0/vendor/llama.cpp/CMakeLists.txt")
            archive.add(source, "llama_cpp_python-0/setup.py")
            archive.add(source, "llama_cpp_python-0/vendor/llama.cpp/../../../outside")
        environment = {"PATH": self.fakes + ":" + os.environ["PATH"], "LOG": self.log, "FAKES": self.fakes,
                       "XDG_CACHE_HOME": self.cache, "PYTHON": "/usr/bin/python3"}
        patch = mock.patch.dict(os.environ, environment)
        patch.start()
        self.addCleanup(patch.stop)

    @staticmethod
    def write(path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    @staticmethod
    def read(path):
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8") as file:
            return file.read()

    def program(self, folder, name, text):
        path = os.path.join(folder, name)
        self.write(path, text.replace("/usr/bin/env python3", "/usr/bin/python3"))
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def speed(self, build, tokens_per_s):
        folder = os.path.join(self.cache, "kedge", "peers", f"llama-cpp-python-{peer_build.VERSION}")
        for name in os.listdir(folder):
            if name.startswith(f"build-{build}-") and not name.endswith(".log"):
                self.write(os.path.join(folder, name, "bin", "speed"), str(tokens_per_s))

    def bench(self, *arguments, flags=("avx2",)):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), \
                mock.patch.object(peer_build, "cpu_flags", return_value=list(flags)):
            code = bench_peers.main(["--programs", self.programs, *arguments])
        return code, out.getvalue(), err.getvalue()

    def test_the_shape_of_the_result(self):
        self.bench("--works", "prompt_512", "--minutes", "0")  # builds
        self.speed("native", 10)
        code, out, _ = self.bench("--format", "json", "--minutes", "0.2", "--works",
                                  "decode_1_ctx2048,prompt_2048,ttft_1")
        self.assertEqual(code, 0)
        result = json.loads(out)
        self.assertEqual(set(result), {"cpu", "rows"})
        self.assertIn("avx2", result["cpu"])
        names = [(row["work"], row["file"], row["policy"]) for row in result["rows"]]
        self.assertEqual(names, [(work, file, policy) for work in ("decode_1_ctx2048", "prompt_2048", "ttft_1")
                                 for file in ("Q4_1", "Q8_0") for policy in ("window", "salient", "full")])
        decode, ttft = result["rows"][0], result["rows"][-1]
        self.assertEqual(decode, {"work": "decode_1_ctx2048", "file": "Q4_1", "policy": "window", "kedge": 200,
                                  "peer": 10, "ratio": 20, "share_of_limit": 0.5})
        self.assertEqual(result["rows"][6]["peer"], 100)
        self.assertEqual(ttft["kedge"], 0.1)
        self.assertAlmostEqual(ttft["ratio"], ttft["peer"] / 0.1)
        self.assertTrue(0.2 <= ttft["peer"] < 2, ttft)
        self.assertIsNone(ttft["share_of_limit"])

    def test_everything_is_built_once_and_the_same_model_is_used(self):
        self.bench("--works", "decode_1_ctx0", "--minutes", "0")
        self.speed("native", 10)
        first = self.read(self.log)
        self.assertEqual(first.count(" download "), 1)
        self.assertEqual(first.count("--build "), 1)
        self.assertIn("--override-kv kedge.salience.heads=str:retrieval=1.2", first)
        source = os.path.join(self.cache, "kedge", "peers", f"llama-cpp-python-{peer_build.VERSION}", "source")
        self.assertEqual(os.listdir(source), ["CMakeLists.txt"])
        self.assertFalse(os.path.exists(os.path.join(self.root, "outside")))
        self.bench("--works", "decode_1_ctx0", "--files", "Q8_0", "--policies", "full", "--minutes", "0.1")
        self.assertEqual(self.read(self.log), first)
        calls = [line for line in self.read(os.path.join(self.programs, "log")).splitlines() if "bench engine" in line]
        self.assertIn("--policies full", calls[-1])
        self.assertIn("Q8_0-", calls[-1])

    def test_another_build_where_the_processor_has_fp16_and_the_faster_counts(self):
        flags = ("avx512f", "avx512_fp16")
        self.bench("--works", "prompt_512", "--minutes", "0", flags=flags)
        self.assertIn("-DCMAKE_C_FLAGS=-mno-avx512fp16", self.read(self.log))
        self.speed("native", 10)
        self.speed("no-avx512fp16", 40)
        code, out, err = self.bench("--works", "decode_1_ctx2048,decode_1_ctx8064", "--files", "Q4_1", "--policies",
                                    "window", "--minutes", "0.1", "--format", "json", flags=flags)
        self.assertEqual(code, 0)
        self.assertEqual([row["peer"] for row in json.loads(out)["rows"]], [40, 40])
        self.assertNotIn("decode_1_ctx8064 on Q4_1: llama.cpp (native)", err)  # left to the faster build
        self.assertIn("decode_1_ctx8064 on Q4_1: llama.cpp (no-avx512fp16)", err)

    def test_what_cannot_be_had_is_said(self):
        self.write(os.path.join(self.fakes, "offline"), "")
        code, out, err = self.bench("--works", "prompt_512")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("no comparison: pip download llama-cpp-python", err)
        self.assertIn("no network", err)

    def test_a_run_that_fails_leaves_a_gap(self):
        self.write(os.path.join(self.programs, "fails"), "")
        self.bench("--works", "prompt_512", "--minutes", "0")
        self.speed("native", 10)
        code, out, err = self.bench("--works", "prompt_512", "--files", "Q4_1", "--minutes", "0.05", "--format", "json")
        self.assertEqual(code, 0)
        row = json.loads(out)["rows"][0]
        self.assertEqual((row["kedge"], row["peer"], row["ratio"]), (None, 100, None))
        self.assertIn("no figure: kedge ended with exit code 1: it broke", err)
        _, text, _ = self.bench("--works", "prompt_512", "--files", "Q4_1", "--minutes", "0.05")
        self.assertRegex(text, r"prompt_512 +Q4_1 +window +- +100\.0 +- +-")

    def test_one_that_hangs_stops_no_other(self):
        self.bench("--works", "prompt_512", "--minutes", "0")
        self.speed("native", 10)
        hangs = "import time\nif 'window' in sys.argv: time.sleep(60)\n"
        self.program(self.programs, "kedge", KEDGE.replace("def after", hangs + "def after"))
        code, out, err = self.bench("--works", "prompt_512,prompt_2048,prompt_8064", "--minutes", "0.2", "--format",
                                    "json")
        self.assertEqual(code, 0)
        rows = json.loads(out)["rows"]
        self.assertTrue(all(row["kedge"] is None for row in rows if row["policy"] == "window"), rows)
        self.assertTrue(any(row["kedge"] for row in rows if row["policy"] == "full"), rows)
        self.assertIn("took longer than the", err)

    def test_without_time_nothing_is_measured(self):
        begin = time.monotonic()
        code, out, err = self.bench("--minutes", "0", "--format", "json")
        self.assertEqual(code, 0)
        self.assertEqual(len(json.loads(out)["rows"]), 9 * 2 * 3)
        self.assertIn("no time is left", err)
        self.assertLess(time.monotonic() - begin, 20)

    def test_cells_share_runs_and_short_ones_come_first(self):
        cells = contestants.cells_of(contestants.WORKS)
        self.assertEqual([cell.works for cell in cells],
                         [("decode_1_ctx0",), ("prompt_512",), ("prompt_2048", "decode_1_ctx2048"), ("ttft_1",),
                          ("decode_32_ctx512",), ("prompt_8064", "decode_1_ctx8064"), ("ttft_8",)])
        self.assertEqual(contestants.cells_of(["prompt_2048"])[0].written, 0)

    def test_a_program_that_takes_too_long_is_ended(self):
        begin = time.monotonic()
        with self.assertRaisesRegex(Failed, "longer"):
            call(["sleep", "30"], 1)
        self.assertLess(time.monotonic() - begin, 10)

    def test_bad_arguments_are_named(self):
        for arguments in (["--works", "walk"], ["--files", "Q2_K"], ["--policies", "fast"]):
            with self.assertRaises(SystemExit) as stopped:
                self.bench(*arguments)
            self.assertEqual(stopped.exception.code, 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
