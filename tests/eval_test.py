#!/usr/bin/env python3
"""`kedge eval`, as a user calls it: on a tiny model, whose answers mean nothing and whose sums must be right."""
import json
import os
import subprocess
import unittest
import xml.etree.ElementTree

from programs import ENVIRONMENT, TMP, TOOL, copy_programs, make_model, read

MODEL = os.path.join(TMP, "tiny.gguf")
POLICIES = "window,recent=16; salient,salient=0.2,recent=8; salient,salient=0.2,recent=8@bm25; full@int4"


def evaluate(*arguments, model=MODEL):
    return subprocess.run([TOOL, "eval", "--model", model, "--threads", "1", *arguments], capture_output=True, text=True,
                          timeout=240, env=ENVIRONMENT)


class EvalTest(unittest.TestCase):
    def run_into(self, out, *arguments):
        run = evaluate("--policies", POLICIES, "--cases", "1", "--lengths", "120,400", "--out", out, *arguments)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def test_results_tables_and_picture(self):
        out = os.path.join(TMP, "docs", "costs")
        os.makedirs(os.path.dirname(out))
        with open(out + ".md", "w", encoding="utf-8") as file:
            file.write("# Costs\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nend\n")
        tables = self.run_into(out)
        # What it measured, told in another form: nothing is measured again.
        results = json.loads(self.run_into(out, "--format", "json"))
        policies = {record["policy"] for record in results["records"]}
        self.assertEqual(policies, {"full", *(policy.strip() for policy in POLICIES.split(";"))})
        forms = {record["form"] for record in results["records"]}
        self.assertTrue({"text", "single", "question-first"} <= forms, forms)
        for record in results["records"]:
            self.assertLessEqual(record["rows"], record["full_rows"])
            self.assertLessEqual(record["agreeing"], record["tokens"])
            self.assertGreater(record["tokens"], 0)  # of a text, or of the right answer
            if record["policy"] == "full":
                self.assertEqual(record["agreeing"], record["tokens"])
                self.assertEqual(record["rows"], record["full_rows"])
        rows = {policy: sum(record["rows"] for record in results["records"] if record["policy"] == policy)
                for policy in policies}
        self.assertLessEqual(rows["salient,salient=0.2,recent=8@bm25"], rows["salient,salient=0.2,recent=8"])
        self.assertEqual(rows["full@int4"], rows["full"])
        document = read(out + ".md")
        self.assertIn(tables, document)
        self.assertNotIn("old", document)
        self.assertTrue(document.startswith("# Costs\n") and document.endswith("end\n"))
        picture = xml.etree.ElementTree.parse(os.path.join(out, "quality.svg")).getroot()
        words = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
        self.assertTrue(policies <= set(words), words)

    def test_a_later_run_goes_on_and_other_settings_begin_anew(self):
        out = os.path.join(TMP, "again")
        first = self.run_into(out)
        path = os.path.join(out, "records.tsv")
        whole = read(path)
        self.assertEqual(first, read(os.path.join(out, "figures.md")))
        # A record that was changed is taken as it is: it was not measured again. Those that were torn off are.
        lines = whole.splitlines(keepends=True)
        at = next(i for i, line in enumerate(lines) if line.startswith("o\t"))
        fields = lines[at].split("\t")
        fields[7] = str(int(fields[7]) + 1)
        lines[at] = "\t".join(fields)
        changed = "".join(lines)
        with open(path, "w", encoding="utf-8") as file:
            file.write(changed[:-200])
        self.run_into(out)
        self.assertEqual(sorted(read(path).splitlines()), sorted(changed.splitlines()))
        self.run_into(out, "--kv-type", "f32")
        self.assertNotEqual(read(path), changed)
        with open(path, "w", encoding="utf-8") as file:
            file.write("something else\n")
        self.run_into(out)
        self.assertEqual(read(path), whole)

    def test_tables_need_no_weights_where_nothing_is_missing(self):
        out = os.path.join(TMP, "tables")
        first = self.run_into(out)
        no_device = ("--cases", "1", "--lengths", "120,400", "--out", out, "--device", "77")  # the CPU has no number
        again = evaluate("--policies", POLICIES, *no_device)
        self.assertEqual((again.returncode, again.stdout), (0, first), again.stderr)
        more = evaluate("--policies", POLICIES + "; streaming", *no_device)
        self.assertIn("--device", more.stderr)

    def test_json_and_a_text_of_ones_own(self):
        path = os.path.join(TMP, "own.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write("This is a sentence of some length, written for this test. " * 60)
        run = evaluate("--policies", "streaming", "--cases", "1", "--lengths", "100", "--format", "json", "--text-file",
                       path)
        self.assertEqual(run.returncode, 0, run.stderr)
        texts = {record["text"] for record in json.loads(run.stdout)["records"]}
        self.assertIn("text-text-file", texts)

    def test_raw_asks_in_plain_text(self):
        def measured(*arguments):
            run = evaluate("--policies", "full", "--cases", "1", "--lengths", "400", "--format", "json", *arguments)
            self.assertEqual(run.returncode, 0, run.stderr)
            results = json.loads(run.stdout)
            return results["settings"]["text"], {record["form"] for record in results["records"]}
        chat, forms = measured()
        plain, plain_forms = measured("--raw")
        self.assertNotEqual(chat, plain)  # so that results of the one do not pass for the other's
        self.assertIn("begun", plain_forms - forms)

    def test_bad_input_names_what_is_wrong(self):
        for arguments, code, text in (
            (["--policies", "window,sinkz=3"], 1, "sinkz"),
            (["--policies", "salient@luck"], 1, "@luck"),
            (["--policies", "window@bm25"], 1, "@bm25"),
            (["--lengths", "3000"], 1, "512"),
            (["--lengths", "5"], 2, "lengths"),
            (["--cases", "0"], 2, "cases"),
            (["--text-file", "/nowhere"], 1, "/nowhere"),
        ):
            run = evaluate(*arguments)
            self.assertEqual(run.returncode, code, (arguments, run.stderr))
            self.assertIn(text, run.stderr)
        self.assertEqual(evaluate(model="/nowhere.gguf").returncode, 1)


if __name__ == "__main__":
    copy_programs()
    make_model(MODEL, "tiny", 1)
    unittest.main(verbosity=2)
