#!/usr/bin/env python3
"""Holds the interpreter's text, byte for byte, against jinja2's with transformers' settings.

The same text, or both refuse: for every construct, filter, test and method with values at their edges, for expressions
drawn at random, for the templates of models with random conversations. Origins: see OriginsTest.
"""
import glob
import json
import os
import random
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
try:
    import jinja2_oracle
except ImportError as error:
    print(f"skipped: {error} (Debian: python3-jinja2)")
    sys.exit(0)
import jinja2_conversations
import jinja2_expressions

SEED = int(os.environ.get("KEDGE_SEED", "1"))
# What jinja2 prints and is refused here, by design. Few of the corpus may be.
REFUSED_HERE = ("an integer is beyond 64 bits", "gives a complex number", "cannot be printed")
ROOM = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(ROOM, "../tokenizer/testdata/chat_vectors.json")


class Renderer:
    """The test program, asked many things at once."""

    def answers(self, requests):
        # In an encoding of its own: no character that ends a line for Python may stand in one.
        text = "".join(json.dumps(request) + "\n" for request in requests)
        run = subprocess.run([os.path.join(ROOM, "render_lines")], input=text.encode(), stdout=subprocess.PIPE,
                             check=True)
        lines = run.stdout.decode().split("\n")[:-1]
        assert len(lines) == len(requests), (len(lines), len(requests))
        return [json.loads(line) for line in lines]


class AgainstJinja2(unittest.TestCase):
    def compare(self, cases, least_rendered=0.5, most_refused=0.01):
        """cases: (template, variables). At least a share of them must have a text, so that the corpus means something."""
        answers = Renderer().answers([{"template": t, "variables": v} for t, v in cases])
        wrong = []
        rendered = refused = 0
        for (template, variables), answer in zip(cases, answers):
            expected, why = jinja2_oracle.render(template, variables)
            if answer.get("error", "").endswith(REFUSED_HERE):
                refused += expected is not None
                expected = None
            rendered += expected is not None
            if answer.get("text") != expected:
                wrong.append((template, variables, expected, why, answer.get("text"), answer.get("error")))
        for template, variables, expected, why, text, error in wrong[:int(os.environ.get("KEDGE_SHOW", "10"))]:
            print(f"--- {template!r:.3000}\n    with {json.dumps(variables):.1500}\n    jinja2 {expected!r:.1500} {why or ''}\n"
                  f"    ours   {text!r:.1500} {error or ''}")
        self.assertEqual(len(wrong), 0, f"of {len(cases)} (seed {SEED})")
        self.assertGreaterEqual(rendered, least_rendered * len(cases))
        self.assertLessEqual(refused, most_refused * len(cases))
        print(f"{self.id()}: {len(cases)} cases are equal, {rendered} of them texts")

    def test_constructs(self):
        self.compare([(t, jinja2_expressions.VARIABLES) for t in jinja2_expressions.constructs()])

    def test_filters_tests_and_methods(self):
        self.compare([(t, jinja2_expressions.VARIABLES) for t in jinja2_expressions.systematic()], 0.3)

    def test_random_expressions(self):
        generator = jinja2_expressions.Generator(random.Random(SEED))
        self.compare([(generator.template(), jinja2_expressions.VARIABLES) for _ in range(6000)], 0.2)

    def test_templates_of_models(self):
        with open(VECTORS, encoding="utf-8") as file:
            templates = {vector["name"]: vector["source"] for vector in json.load(file)}
        templates.update(self.collected())
        draw = random.Random(SEED)
        cases = []
        for source in templates.values():
            for _ in range(60):
                cases.append((source, jinja2_conversations.variables(draw)))
        print(f"{len(templates)} templates")
        self.compare(cases, 0.3, most_refused=0)

    def collected(self):
        """Templates of llama.cpp and in its vocabularies."""
        folder = os.environ.get("KEDGE_VOCAB_DIR")
        if not folder:
            print("skipped: llama.cpp's templates (KEDGE_VOCAB_DIR names vendor/llama.cpp/models of llama-cpp-python)")
            return {}
        found = {}
        for path in sorted(glob.glob(os.path.join(folder, "templates", "*.jinja"))):
            with open(path, encoding="utf-8") as file:
                found[path] = file.read()
        for path in sorted(glob.glob(os.path.join(folder, "ggml-vocab-*.gguf"))):
            template = jinja2_conversations.template_of(path)
            if template:
                found[path] = template
        self.assertGreater(len(found), 15)
        return found


class OriginsTest(unittest.TestCase):
    """Each message has an alphabet of its own: a piece that came from one is made of it."""

    def test_pieces_are_of_their_message(self):
        draw = random.Random(SEED)
        alphabets = ["абвгд ж", "αβγδεζ η", "あいうえお か", "欢迎来到 世界", "אבגדה ו"]
        requests = []
        for _ in range(1000):
            messages = []
            for i, alphabet in enumerate(alphabets):
                text = "".join(draw.choice(alphabet) for _ in range(draw.randrange(0, 12)))
                messages.append([i + 1, {"role": text[:3], "content": text, "parts": [text[::-1], text]}])
            requests.append({"template": jinja2_expressions.origin_template(draw), "variables": {},
                             "inputs": {"messages": messages}})
        from_messages = 0
        for request, answer in zip(requests, Renderer().answers(requests)):
            self.assertIn("pieces", answer, (request, answer))
            previous = None
            for origin, text in answer["pieces"]:
                self.assertNotEqual(origin, previous)
                previous = origin
                # Templates are ASCII but for what they escape; JSON's and repr's quotes belong to the message.
                own = set(alphabets[origin - 1]) | set("'\"[]{}:, \\") if origin else set(map(chr, range(128)))
                extra = set("rolecntpas") if origin else set()  # names of fields, which are the message's too
                cased = {c.upper() for c in own} | {c.lower() for c in own}
                self.assertLessEqual(set(text), own | extra | cased, (origin, text, request))
                from_messages += origin > 0
        self.assertGreater(from_messages, 1000)


if __name__ == "__main__":
    print(f"seed {SEED} (repeat with KEDGE_SEED)")
    unittest.main()
