#!/usr/bin/env python3
"""fetch_cuda.py, with wheels made here, from a folder in PyPI's place."""
import hashlib
import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile

TOOL = pathlib.Path(sys.argv[0]).absolute().with_name("fetch_cuda.py")


def make_wheel(folder, name, members):
    """Returns the wheel's line of requirements."""
    path = folder / ("%s-1.0-py3-none-any.whl" % name)
    info = name + "-1.0.dist-info/"
    files = {**members, info + "METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n" % name,
             info + "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
             info + "licenses/License.txt": "of " + name}
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in files.items():
            entry = zipfile.ZipInfo(member)
            entry.external_attr = (0o100744 if "/bin/" in member else 0o100644) << 16
            wheel.writestr(entry, text)
    return "%s==1.0 --hash=sha256:%s\n" % (name, hashlib.sha256(path.read_bytes()).hexdigest())


class FetchCudaTest(unittest.TestCase):

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = pathlib.Path(temporary.name)
        self.folder = self.root / "cache" / "kedge" / "cuda" / "1.0"
        self.index = self.root / "index"
        self.index.mkdir()
        self.wheels = self.root / "wheels.txt"
        self.wheels.write_text(
            "# pinned\n" +
            make_wheel(self.index, "a_compiler", {"nvidia/cu13/bin/nvcc": "compiles",
                                                  "nvidia/cu13/.metadata/sizes.txt": "unneeded"}) +
            make_wheel(self.index, "a_library", {"nvidia/nccl/lib/libnccl.so.2": "sends", "nvidia/__init__.py": ""}))

    def start(self, **environment):
        defaults = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index), "HOME": str(self.root)}
        return subprocess.Popen([sys.executable, TOOL, "--folder", self.folder, "--wheels", self.wheels],
                                env={"PATH": os.environ["PATH"], **defaults, **environment},
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def fetch(self, **environment):
        process = self.start(**environment)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def left(self):
        """What lies beside the folder."""
        return sorted(path.name for path in self.folder.parent.iterdir())

    def test_fills_the_folder_once(self):
        code, out, err = self.fetch()
        self.assertEqual((code, out), (0, "%s\n" % self.folder), err)
        self.assertIn("fetching the CUDA toolkit, once, from PyPI", err)
        files = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}
        self.assertEqual(files, {"bin/nvcc", "lib/libnccl.so.2", "licenses/a_compiler.txt", "licenses/a_library.txt"})
        self.assertTrue((self.folder / "bin/nvcc").stat().st_mode & stat.S_IXOTH)
        self.assertFalse((self.folder / "lib/libnccl.so.2").stat().st_mode & stat.S_IXUSR)
        self.assertEqual(self.left(), ["1.0", "1.0.lock"])
        begin = time.monotonic()
        self.assertEqual(self.fetch(PIP_FIND_LINKS="/nowhere"), (0, "%s\n" % self.folder, ""))
        self.assertLess(time.monotonic() - begin, 1)

    def test_without_network(self):
        code, out, err = self.fetch(PIP_NO_INDEX="0", PIP_FIND_LINKS="", PIP_INDEX_URL="http://127.0.0.1:1/simple")
        self.assertEqual((code, out), (1, ""))
        self.assertEqual("kedge: PyPI cannot be reached: Failed to establish a new connection: [Errno 111] Connection "
                         "refused; set CUDA_HOME to an installed CUDA toolkit", err.splitlines()[-1])
        self.assertEqual(self.left(), ["1.0.lock"])

    def test_what_pypi_does_not_have(self):
        code, out, err = self.fetch(PIP_FIND_LINKS="/nowhere")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("kedge: cannot fetch the CUDA toolkit: set CUDA_HOME to an installed one, or let pip reach PyPI "
                      "(ERROR: No matching distribution found for a_compiler==1.0)", err.splitlines()[-1])
        self.assertEqual(self.left(), ["1.0.lock"])

    def test_other_bytes_than_expected(self):
        make_wheel(self.index, "a_library", {"nvidia/nccl/lib/libnccl.so.2": "forged"})
        code, _, err = self.fetch()
        self.assertEqual(code, 1)
        self.assertIn("HASHES", err)
        self.assertEqual(self.left(), ["1.0.lock"])

    def test_no_place(self):
        (self.root / "cache").write_text("in the way")
        code, _, err = self.fetch()
        self.assertEqual(code, 1)
        self.assertRegex(err, r"\Akedge: \S*/cache\S*: (Not a directory|File exists)\n\Z")

    def test_a_signal_leaves_nothing_and_a_kill_nothing_that_disturbs(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
            for number, code in ((signal.SIGTERM, 143), (signal.SIGKILL, -9)):
                process = self.start(PIP_NO_INDEX="0", PIP_FIND_LINKS="",
                                     PIP_INDEX_URL="http://127.0.0.1:%d/simple" % silent.getsockname()[1])
                silent.settimeout(30)
                connection, _ = silent.accept()
                waiting = self.start(PIP_FIND_LINKS="/nowhere")
                self.assertIn("another kedge fetches the CUDA toolkit", waiting.stderr.readline())
                waiting.kill()
                waiting.communicate()
                process.send_signal(number)
                process.communicate(timeout=10)
                connection.close()
                self.assertEqual(process.returncode, code)
                self.assertFalse(self.folder.exists())
                if number == signal.SIGTERM:
                    self.assertEqual(self.left(), ["1.0.lock"])
        self.assertEqual(self.fetch()[0], 0)
        self.assertEqual(self.left(), ["1.0", "1.0.lock"])

    def test_two_at_once(self):
        processes = [self.start() for _ in range(3)]
        said = "".join(process.communicate(timeout=60)[1] for process in processes)
        self.assertEqual([process.returncode for process in processes], [0, 0, 0])
        self.assertEqual(said.count("once, from PyPI"), 1, said)


if __name__ == "__main__":
    unittest.main()
