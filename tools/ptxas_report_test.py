#!/usr/bin/env python3
"""Tables of registers and spills, from a report as nvcc writes it."""
import os
import subprocess
import sys
import tempfile
import unittest

TOOL = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "ptxas_report.py")

# void kedge::cuda::for_devices::(anonymous namespace)::Multiply<8, (Form)1>(int const*), and F(int) without a template.
MULTIPLY = "_ZN5kedge4cuda11for_devices12_GLOBAL__N_18MultiplyILi8EL4Form1EEEvPKi"
PLAIN = "_ZN5kedge1FEi"


def report(symbol, code, stores):
    return f"""ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '{symbol}' for '{code}'
ptxas info    : Function properties for {symbol}
    {2 * stores} bytes stack frame, {stores} bytes spill stores, {stores} bytes spill loads
ptxas info    : Used 168 registers, used 1 barriers, {2 * stores} bytes cumulative stack size
ptxas info    : Compile time = 4.317 ms
"""


class PtxasReportTest(unittest.TestCase):

    def run_tool(self, text, wanted=None):
        with tempfile.TemporaryDirectory() as folder:
            paths = {name: os.path.join(folder, name) for name in ("report", "wanted")}
            for name, content in (("report", text), ("wanted", wanted or "")):
                with open(paths[name], "w", encoding="utf-8") as file:
                    file.write(content)
            options = ["--no-spills", paths["wanted"]] if wanted else []
            done = subprocess.run([sys.executable, TOOL, *options, paths["report"]], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_table(self):
        code, out = self.run_tool(report(MULTIPLY, "sm_90a", 0) + report(PLAIN, "sm_80", 8))
        self.assertEqual(code, 0, out)
        lines = [line.split() for line in out.splitlines()]
        self.assertEqual(lines[1:], [["F", "sm_80", "168", "16", "8", "8"],
                                     ["Multiply<8,", "(Form)1>", "sm_90a", "168", "0", "0", "0"]])

    def test_spills_fail_where_they_must_not_be(self):
        text = report(MULTIPLY, "sm_90a", 0) + report(MULTIPLY, "sm_80", 4) + report(PLAIN, "sm_80", 8)
        code, out = self.run_tool(text, "# hot\nMultiply  # every step\n")
        self.assertEqual(code, 1)
        self.assertIn("FAILED: Multiply<8, (Form)1>, sm_80: 4 bytes spilled, 4 read back", out)
        self.assertEqual(out.count("FAILED"), 1, out)
        self.assertEqual(self.run_tool(report(MULTIPLY, "sm_80", 0), "Multiply\n")[0], 0)

    def test_a_name_that_is_none_fails(self):
        code, out = self.run_tool(report(PLAIN, "sm_80", 0), "Mutliply\n")
        self.assertEqual(code, 1)
        self.assertIn("FAILED: Mutliply: there is no such kernel", out)

    def test_a_report_that_is_cut_off_fails(self):
        self.assertNotEqual(self.run_tool("\n".join(report(PLAIN, "sm_80", 0).splitlines()[:2]))[0], 0)


if __name__ == "__main__":
    unittest.main()
