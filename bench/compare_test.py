"""`bench compare` on a repository whose commits hold a launcher made of shell."""
import contextlib
import io
import json
import os
import subprocess
import tempfile
import unittest
from unittest import mock

from bench import compare
from bench.program import Failed

# Builds a tool that says how fast it is.
LAUNCHER = """#!/bin/bash
here=$(dirname "$(readlink -f "$0")")
[ ! -e "$here/broken" ] || exit 1
echo "built $(cat "$here/speed")" >> "$LOG"
mkdir -p "$here/.kedge/bin"
cat > "$here/.kedge/bin/kedge" <<END
#!/bin/bash
[ "\\$2" = "$(cat "$here/command")" ] || exit 2
echo "$(cat "$here/speed") \\$*" >> "$LOG"
echo '{"rows": [{"work": "prompt_512", "policy": "window", "tokens_per_s": $(cat "$here/speed")}]}'
END
chmod +x "$here/.kedge/bin/kedge"
"""


class CompareTest(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.root = os.path.join(place.name, "repository")
        self.cache = os.path.join(place.name, "cache")
        self.log = os.path.join(place.name, "log")
        os.makedirs(self.root)
        environment = {"LOG": self.log, "XDG_CACHE_HOME": self.cache, "HOME": place.name}
        for patch in (mock.patch.dict(os.environ, environment), mock.patch.object(compare, "ROOT", self.root)):
            patch.start()
            self.addCleanup(patch.stop)
        self.git("init", "-q")
        self.write("kedge", LAUNCHER)
        os.chmod(os.path.join(self.root, "kedge"), 0o755)
        self.write("command", "engine")
        self.write("file_of_the_first", "")
        self.slow = self.commit(100)
        os.remove(os.path.join(self.root, "file_of_the_first"))
        self.fast = self.commit(150)

    def git(self, *arguments):
        return subprocess.run(["git", "-C", self.root, "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
                              check=True, capture_output=True, text=True).stdout.strip()

    def write(self, name, text):
        with open(os.path.join(self.root, name), "w", encoding="utf-8") as file:
            file.write(text)

    def commit(self, speed):
        self.write("speed", str(speed))
        self.git("add", "-A")
        self.git("commit", "-qm", str(speed))
        return self.git("rev-parse", "HEAD")

    def calls(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read().splitlines()

    def run_main(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = compare.main(["--programs", "/nowhere", *arguments])
        return code, out.getvalue(), err.getvalue()

    def test_two_commits_in_turn(self):
        code, out, err = self.run_main(self.slow, "HEAD", "--rounds", "2", "--format", "json")
        self.assertEqual(code, 0, err)
        result = json.loads(out)
        self.assertEqual((result["a"], result["b"]), (self.slow, self.fast))
        self.assertEqual(result["rows"], [{"work": "prompt_512", "policy": "window", "a": 100, "b": 150, "ratio": 1.5,
                                           "least": 1.5, "most": 1.5}])
        order = [line.split()[0] for line in self.calls() if "--repeat 1" in line]
        self.assertEqual(order, ["100", "150", "150", "100"])
        # The second time nothing is built; what the first commit alone had is gone from the sources.
        before = len([line for line in self.calls() if line.startswith("built")])
        code, out, _ = self.run_main(self.slow, self.fast, "--rounds", "1")
        self.assertEqual(len([line for line in self.calls() if line.startswith("built")]), before)
        self.assertEqual(before, 2)
        self.assertIn("1.500", out)
        sources = os.path.join(self.cache, "kedge", "compare", "sources")
        self.assertFalse(os.path.exists(os.path.join(sources, "file_of_the_first")))
        self.assertEqual(self.git("status", "--porcelain"), "")

    def test_reasons_are_said(self):
        code, _, err = self.run_main("nothing", self.fast)
        self.assertEqual(code, 1)
        self.assertIn("\"nothing\" is no commit", err)
        self.write("command", "other")
        old = self.commit(1)
        with self.assertRaisesRegex(Failed, "older than that command"):
            compare.programs_of(old, os.path.join(self.cache, "kedge"))
        self.write("broken", "")
        with self.assertRaisesRegex(Failed, "could not be built"):
            compare.programs_of(self.commit(2), os.path.join(self.cache, "kedge"))

    def test_ratios_are_of_one_round_each(self):
        speeds = iter([10, 20, 40, 20, 30, 60])  # a, b; b, a; a, b

        def run(_):
            return {("prompt_512", "window"): next(speeds)}

        row = compare.compare(["a", "b"], 3, run)[0]
        self.assertEqual((row["a"], row["b"]), (20, 40))
        self.assertEqual((row["least"], row["ratio"], row["most"]), (2, 2, 2))

    def test_bad_arguments(self):
        for arguments in ([], ["HEAD", "--rounds", "0"]):
            with self.assertRaises(SystemExit) as stopped, contextlib.redirect_stderr(io.StringIO()):
                compare.main(["--programs", "/nowhere", *arguments])
            self.assertEqual(stopped.exception.code, 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
