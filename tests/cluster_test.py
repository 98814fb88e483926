#!/usr/bin/env python3
"""The real processes: router, prefill and decode nodes on a tiny model, and a client made from the protos alone.

Run by Bazel with the paths of the programs; running_cluster.py says what it needs.
"""
import concurrent.futures
import ctypes
import json
import os
import signal
import subprocess
import time
import unittest

import grpc

from programs import ENVIRONMENT, TMP, TOOL, children, copy_programs, is_alive, make_adapter, make_model
from running_cluster import (MODEL, NO_CACHE, Cluster, Process, cluster_pb2, inference_pb2_grpc, model_pb2, pb,
                             random_ids, request, running, stream, tool, wait_for)

MEDIUM_MODEL = os.path.join(TMP, "medium.gguf")  # slow enough to be watched at work
OTHER_MODEL = os.path.join(TMP, "other.gguf")
ADAPTER = os.path.join(TMP, "adapter.gguf")  # for the tiny models
ADAPTER_POLICY = "anchors=40+41+42+43,longest=20,sinks=2,recent=8,view=all"
OTHER_ADAPTER = os.path.join(TMP, "other-adapter.gguf")
TOOL_TEMPLATE = """\
{%- if tools %}{{ '<|im_start|>system\\n' }}{% for tool in tools %}{{ tool | tojson }}{% endfor %}{{ '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.content %}{{ message.content }}{% endif %}
    {%- for call in message.tool_calls %}{{ '<tool_call>' + call.function | tojson + '</tool_call>' }}{% endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' + ('' if enable_thinking else '<think></think>') }}{% endif %}
"""


class ClusterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.c = Cluster(prefill=2, decode=2)

    @classmethod
    def tearDownClass(cls):
        cls.c.close()

    def assert_status(self, code, field, message, timeout=20):
        with self.assertRaises(grpc.RpcError) as raised:
            stream(self.c, message, timeout)
        self.assertEqual(raised.exception.code(), code, raised.exception.details())
        self.assertIn(field, raised.exception.details())

    def test_text_through_processes_equals_one_engine_step_by_step(self):
        for seed, policy in enumerate(["window", "full", "anchors=40+41+42,sinks=2,recent=8", "streaming",
                                       "anchors=20+30+40+50,view=all"]):
            ids = random_ids(90 + 40 * seed, seed)
            answer = self.c.stub.Generate(request(ids, policy=policy, logprobs=1))
            completion = answer.completions[0]
            self.assertEqual(len(completion.token_ids), 24)
            for logprob in completion.logprobs:
                self.assertEqual(logprob.rank, 1)
            whole = ids + list(completion.token_ids)
            result = tool("score", "--model", MODEL, "--policy", policy, "--path", "steps", "--generated-from",
                          str(len(ids)), "--tokens", ",".join(map(str, whole)), "--format", "json")
            self.assertEqual(result.returncode, 0, result.stderr)
            expected = json.loads(result.stdout)["logprobs"][len(ids) - 1:]
            for got, want in zip([l.logprob for l in completion.logprobs], expected, strict=True):
                self.assertEqual(got, ctypes.c_float(want).value)  # to the bit: the API has floats

    def test_only_kept_rows_cross_and_every_byte_is_counted(self):
        ids = random_ids(450, 5)
        answer = self.c.stub.Generate(request(ids, policy="anchors=40+41,sinks=4,recent=32", max_tokens=2))
        row = answer.usage.full_bytes / len(ids)
        rows = answer.usage.kept_rows * row
        self.assertLess(answer.usage.kept_rows, 60)
        self.assertGreaterEqual(answer.usage.segment_bytes, rows)
        self.assertLess(answer.usage.segment_bytes, rows + 1500)  # headers; this model's rows are tiny
        full = self.c.stub.Generate(request(ids, policy="full", max_tokens=2))
        self.assertEqual(full.usage.kept_rows, len(ids) - 1)  # all rows but the last

    def test_sixteen_clients_at_once_get_the_text_that_they_get_alone(self):
        messages = [request(random_ids(10 + 27 * i, 100 + i), max_tokens=10 + i, temperature=(i % 2) * 0.8, seed=i)
                    for i in range(16)]
        alone = [stream(self.c, message)[0] for message in messages]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            together = list(pool.map(lambda message: stream(self.c, message)[0], messages))
        self.assertEqual(alone, together)
        self.assertEqual([len(ids) for ids in alone], [10 + i for i in range(16)])

    def test_a_prefill_node_computes_the_prompt_and_both_nodes_are_named(self):
        _, _, last, trailing = stream(self.c, request(random_ids(50, 1)))
        self.assertTrue(trailing["kedge-prefill-node"].startswith("prefill-"))
        self.assertTrue(trailing["kedge-decode-node"].startswith("decode-"))
        self.assertGreater(last.usage.segment_bytes, 0)
        self.assertEqual(last.usage.prompt_tokens, 50)
        self.assertGreater(last.timings.total_duration.nanos + last.timings.total_duration.seconds, 0)

    def test_the_next_turn_goes_on_behind_the_last_answer(self):
        ids = random_ids(130, 61)
        for turn in range(3):
            wait_for(lambda: self.c.reserved_rows() == 0, "the end of earlier answers in the heartbeats", 5)
            answer = self.c.stub.Generate(request(ids, policy="window", max_tokens=30))
            # Behind rows that are here nothing is asked for. The last token of an answer was never computed.
            self.assertEqual(answer.usage.cached_tokens, 0 if turn == 0 else known)
            self.assertEqual(answer.usage.segment_bytes > 0, turn == 0)
            known = len(ids) + 29
            ids = ids + list(answer.completions[0].token_ids) + random_ids(20, 70 + turn)
        wait_for(lambda: self.c.reserved_rows() == 0, "the end of the last answer in the heartbeats", 5)
        again = self.c.stub.Generate(request(ids, policy="window", max_tokens=1, logprobs=1))
        self.assertEqual(again.usage.cached_tokens, known)
        with running(prefill=1, decode=1, node_flags=NO_CACHE) as cold:
            alone = cold.stub.Generate(request(ids, policy="window", max_tokens=1, logprobs=1))
        self.assertEqual(alone.usage.cached_tokens, 0)
        self.assertEqual(again.completions[0].logprobs, alone.completions[0].logprobs)

    def test_text_and_chat_prompts_stream_valid_text(self):
        ids, text, last, _ = stream(self.c, request(text="The anchor is a device."))
        self.assertEqual(last.usage.completion_tokens, len(ids))
        back = self.c.models.Detokenize(model_pb2.DetokenizeRequest(token_ids=ids)).text
        self.assertEqual(text, back)
        chat = request(ids=[])
        chat.messages.messages.add(role="user", content="Hello <|im_end|>")
        ids, _, last, _ = stream(self.c, chat)
        tokens = self.c.models.Tokenize(model_pb2.TokenizeRequest(messages=chat.messages)).token_ids
        self.assertEqual(last.usage.prompt_tokens, len(tokens))
        self.assertEqual(list(tokens).count(2), 2)  # the default system turn's and the user's: none from the text

    def test_a_conversation_with_tools_goes_through_the_template(self):
        path = os.path.join(TMP, "tools.jinja")
        with open(path, "w", encoding="utf-8") as file:
            file.write(TOOL_TEMPLATE)
        with running(router_flags=("--chat-template", path)) as c:
            info = c.models.GetModelInfo(model_pb2.GetModelInfoRequest())
            self.assertEqual(info.chat_template, TOOL_TEMPLATE)

            chat = request(ids=[], max_tokens=4)
            chat.messages.tools.add(name="weather", parameters='{"type": "object", "properties": {"city": {}}}')
            chat.messages.messages.add(role="user", content="Oslo? <|im_end|>")
            chat.messages.template_arguments["enable_thinking"] = True
            asked = c.stub.Generate(chat)
            self.assertEqual(asked.usage.completion_tokens, 4)
            assistant = chat.messages.messages.add(role="assistant")
            assistant.tool_calls.add(id="c1", name="weather", arguments='{"city": "Oslo"}')
            chat.messages.messages.add(role="tool", tool_call_id="c1", content="7 degrees")
            chat.output_options.prompt_pieces = True
            answered = c.stub.Generate(chat)
            self.assertEqual(
                "".join(piece.text for piece in answered.prompt_pieces),
                '<|im_start|>system\n{"type": "function", "function": {"name": "weather", "parameters": '
                '{"type": "object", "properties": {"city": {}}}}}<|im_end|>\n'
                "<|im_start|>user\nOslo? <|im_end|><|im_end|>\n"
                '<|im_start|>assistant\n<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>'
                "<|im_end|>\n<|im_start|>tool\n7 degrees<|im_end|>\n<|im_start|>assistant\n")
            ids = list(c.models.Tokenize(model_pb2.TokenizeRequest(messages=chat.messages)).token_ids)
            self.assertEqual(answered.usage.prompt_tokens, len(ids))
            self.assertEqual(ids.count(2), 4)  # none of what the user wrote
            # The turn goes on behind the one before, as far as that was stored.
            self.assertGreaterEqual(answered.usage.cached_tokens, asked.usage.prompt_tokens - 1)

            chat.messages.messages[1].tool_calls[0].arguments = '{"city": "Oslo"'
            with self.assertRaises(grpc.RpcError) as raised:
                c.stub.Generate(chat)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertEqual(raised.exception.details(),
                             "messages.messages[1].tool_calls[0].arguments: is not JSON at byte 15")

    def test_inserted_anchors_are_between_sentences_and_hidden_in_the_answer(self):
        def tokens(text):
            return list(self.c.models.Tokenize(model_pb2.TokenizeRequest(text=text)).token_ids)

        policy = "anchors=8,insert=8"
        sampling = {"policy": policy, "temperature": 1.0, "seed": 7, "max_tokens": 60, "logit_bias": {8: 9.0}, "logprobs": 0}
        with_anchors = tokens("One.") + [8] + tokens("Two, e.g. this?") + [8] + tokens("Three")
        answer = self.c.stub.Generate(request(text="One.  Two, e.g. this?\nThree", **sampling))
        completion = answer.completions[0]
        self.assertEqual(answer.usage.prompt_tokens, len(with_anchors))
        self.assertEqual(answer.usage.completion_tokens, 60)
        self.assertEqual(len(completion.logprobs), len(completion.token_ids))
        self.assertNotIn(8, completion.token_ids)
        self.assertGreater(len(completion.token_ids), 10)
        self.assertLess(len(completion.token_ids), 55)  # the others were anchors
        self.assertEqual(completion.text, self.c.models.Detokenize(
            model_pb2.DetokenizeRequest(token_ids=completion.token_ids)).text)
        # The same from ids, which get no anchors, and as a stream.
        by_ids = self.c.stub.Generate(request(ids=with_anchors, **sampling)).completions[0]
        self.assertEqual(by_ids, completion)
        ids, text, last, _ = stream(self.c, request(ids=with_anchors, **sampling))
        self.assertEqual((ids, text), (list(completion.token_ids), completion.text))
        self.assertEqual(last.usage.completion_tokens, 60)
        # Ranges say where; characters, not bytes.
        spans = request(text="\u00e9\u00e9. A. B", **sampling)
        spans.cache_options.anchor_spans.add(begin=0, end=6)
        by_ids = request(ids=tokens("\u00e9\u00e9. A.") + [8] + tokens("B"), **sampling)
        self.assertEqual(self.c.stub.Generate(spans).completions, self.c.stub.Generate(by_ids).completions)
        result = tool("generate", "--router", self.c.address, "--raw", "--prompt", "\u00e9\u00e9. A. B", "--policy", policy,
                      "--anchor-span", "0-6", "--max-tokens", "1", "--format", "json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(json.loads(result.stdout)["prompt_tokens"], len(by_ids.token_ids.ids))

    def test_several_completions_and_seeds(self):
        message = request(random_ids(30, 9), temperature=1.0, n=3, max_tokens=8)
        first = self.c.stub.Generate(message)
        self.assertEqual(len({tuple(c.token_ids) for c in first.completions}), 3)
        message.sampling_params.seed = first.provenance.seed
        message.cache_options.policy = first.provenance.policy
        again = self.c.stub.Generate(message)
        self.assertEqual([list(c.token_ids) for c in first.completions], [list(c.token_ids) for c in again.completions])
        self.assertEqual(first.usage.completion_tokens, 24)

    def test_stop_strings_end_the_answer(self):
        ids, text, _, _ = stream(self.c, request(text="Once upon a time", max_tokens=40))
        stop = text[len(text) // 2:len(text) // 2 + 2]
        message = request(text="Once upon a time", max_tokens=40)
        message.sampling_params.stop.append(stop)
        answer = self.c.stub.Generate(message).completions[0]
        self.assertEqual(answer.text, text[:text.index(stop)])
        self.assertEqual(answer.matched_stop_str, stop)
        self.assertEqual(answer.finish_reason, pb.FINISH_REASON_STOP)

    def test_bad_input_names_the_field_and_the_server_goes_on(self):
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        self.assert_status(invalid, "prompt", pb.GenerateRequest())
        self.assert_status(invalid, "text", request(text=""))
        self.assert_status(invalid, "token_ids", request(ids=[]))
        self.assert_status(invalid, "token_ids", request(ids=[1, 99999]))
        self.assert_status(invalid, "512", request(ids=[20] * 600))
        self.assert_status(invalid, "cache_options.policy", request(ids=[20, 21], policy="window,sinkz=4"))
        self.assert_status(invalid, "sampling_params.temperature", request(ids=[20], temperature=float("nan")))
        self.assert_status(invalid, "sampling_params.top_p", request(ids=[20], top_p=1.5))
        self.assert_status(grpc.StatusCode.NOT_FOUND, "nope", pb.GenerateRequest(model="nope", text="x"))
        with self.assertRaises(grpc.RpcError) as raised:
            stream(self.c, request(text="x" * 100_000_000))
        self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        raw = self.c.channel.unary_unary("/kedge.inference.v1.InferenceService/Generate")
        with self.assertRaises(grpc.RpcError):
            raw(b"\x1a\x02\xff\xfe", timeout=10)  # text: bytes that are not UTF-8
        self.assertEqual(len(stream(self.c, request(ids=[20, 21]))[0]), 24)

    def test_cancel_and_deadline_give_rows_back(self):
        call = self.c.stub.GenerateStream(request(random_ids(300, 2), max_tokens=150))
        next(call)
        call.cancel()
        wait_for(lambda: self.c.reserved_rows() == 0, "rows back after a cancel", 5)
        with running(model=MEDIUM_MODEL) as c:
            started = time.time()
            with self.assertRaises(grpc.RpcError) as raised:
                stream(c, request(random_ids(300, 3), max_tokens=200, n=8), timeout=0.05)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
            self.assertLess(time.time() - started, 2)
            wait_for(lambda: c.reserved_rows() == 0, "rows back after a deadline", 5)

    def test_request_id_is_kept_or_made(self):
        message = request(ids=[20, 21], max_tokens=1)
        call = self.c.stub.GenerateStream(message, metadata=[("x-request-id", "mine-1")])
        self.assertEqual(next(iter(call)).request_id, "mine-1")
        self.assertEqual(dict(call.initial_metadata())["x-request-id"], "mine-1")
        call = self.c.stub.GenerateStream(message)
        self.assertGreater(len(dict(call.initial_metadata())["x-request-id"]), 10)

    def test_the_tool_speaks_json(self):
        result = tool("generate", "--router", self.c.address, "--tokens", "20,21,22", "--max-tokens", "5", "--ignore-eos",
                      "--format", "json")
        self.assertEqual(result.returncode, 0, result.stderr)
        answer = json.loads(result.stdout)
        for key in ("text", "token_ids", "logprobs", "finish_reason", "policy", "prompt_tokens", "completion_tokens",
                    "cached_tokens", "kept_rows", "held_rows", "segment_bytes", "full_bytes", "ttft_ms", "prefill_node",
                    "decode_node"):
            self.assertIn(key, answer)
        self.assertEqual(len(answer["logprobs"]), len(answer["token_ids"]))
        self.assertEqual(tool("health", "--router", self.c.address).returncode, 0)
        self.assertEqual(tool("health", "--router", "127.0.0.1:1").returncode, 1)
        self.assertEqual(tool("generate", "--router", self.c.address, "--nonsense").returncode, 2)


class RowsIn8BitsTest(unittest.TestCase):
    def test_a_cluster_gives_what_one_engine_gives_and_moves_half(self):
        ids = random_ids(200, 7)
        full_bytes = []
        for flags in (("--kv-type", "f16"), ("--kv-type", "q8")):
            with running(node_flags=NO_CACHE + flags) as c:
                answer = c.stub.Generate(request(ids, policy="window", logprobs=1))
            full_bytes.append(answer.usage.full_bytes)
            self.assertGreater(answer.usage.segment_bytes, 0)
            completion = answer.completions[0]
            whole = ids + list(completion.token_ids)
            result = tool("score", "--model", MODEL, "--policy", "window", "--path", "steps", "--generated-from",
                          str(len(ids)), "--tokens", ",".join(map(str, whole)), "--format", "json", *flags)
            self.assertEqual(result.returncode, 0, result.stderr)
            expected = json.loads(result.stdout)["logprobs"][len(ids) - 1:]
            self.assertEqual([l.logprob for l in completion.logprobs], [ctypes.c_float(e).value for e in expected])
        self.assertLess(full_bytes[1], 0.6 * full_bytes[0])


class MediumModelTest(unittest.TestCase):
    """What takes a model of some size; times are compared with times of the same run alone."""

    @classmethod
    def setUpClass(cls):
        cls.c = Cluster(model=MEDIUM_MODEL, node_flags=NO_CACHE)
        stream(cls.c, request(random_ids(50, 1)))  # warm

    @classmethod
    def tearDownClass(cls):
        cls.c.close()

    def test_sixteen_together_take_less_than_60_percent_of_one_after_another(self):
        messages = [request(random_ids(30 + i, i), max_tokens=60) for i in range(16)]
        start = time.time()
        alone = [stream(self.c, message)[0] for message in messages]
        middle = time.time()
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            together = list(pool.map(lambda message: stream(self.c, message)[0], messages))
        ratio = (time.time() - middle) / (middle - start)
        print(f"together / one after another: {ratio:.2f}")
        self.assertEqual(alone, together)
        self.assertLess(ratio, 0.6)

    def test_headers_are_under_two_percent_of_the_rows(self):
        answer = self.c.stub.Generate(request(random_ids(1000, 3), max_tokens=2))
        rows = answer.usage.kept_rows * answer.usage.full_bytes / 1000
        self.assertLess(answer.usage.kept_rows, 300)
        self.assertGreaterEqual(answer.usage.segment_bytes, rows)
        self.assertLess(answer.usage.segment_bytes, 1.02 * rows)

    def test_a_long_prompt_moves_under_a_fifth_of_the_full_cache(self):
        answer = self.c.stub.Generate(request(random_ids(1500, 3), max_tokens=2))
        self.assertLess(answer.usage.segment_bytes, 0.2 * answer.usage.full_bytes)
        self.assertGreater(answer.usage.segment_bytes, 0.05 * answer.usage.full_bytes)

    def test_short_prompt_is_served_during_a_long_prefill(self):
        order = []

        def first_token(name, message):
            call = self.c.stub.GenerateStream(message)
            next(call)
            order.append(name)
            call.cancel()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            long = pool.submit(first_token, "long", request(random_ids(4000, 1), max_tokens=2))
            time.sleep(0.2)  # it has begun; heartbeats would say so when a fast machine is nearly done
            self.assertEqual(order, [])
            short = pool.submit(first_token, "short", request(random_ids(20, 2), max_tokens=2))
            short.result()
            long.result()
        self.assertEqual(order, ["short", "long"])


class CacheTest(unittest.TestCase):
    def test_a_cold_beginning_of_many_clients_is_computed_once(self):
        beginning = random_ids(600, 81)
        messages = [request(beginning + random_ids(30, 82 + i), policy=policy, max_tokens=4)
                    for policy in ("full", "recent=40,prefill=full") for i in range(4)]
        with running(model=MEDIUM_MODEL) as c, concurrent.futures.ThreadPoolExecutor(8) as pool:
            together = list(pool.map(c.stub.Generate, messages))
            cached = sorted(answer.usage.cached_tokens for answer in together)
            self.assertEqual(cached[0], 0)
            self.assertGreaterEqual(cached[1], 512, cached)
            wait_for(lambda: sum(node.cached_rows for node in c.list()) > 0, "cached rows in the heartbeats", 5)
        with running(model=MEDIUM_MODEL, node_flags=NO_CACHE) as c:
            for message, answer in zip(messages, together):
                alone = c.stub.Generate(message)
                self.assertEqual(alone.usage.cached_tokens, 0)
                self.assertEqual(alone.completions[0].token_ids, answer.completions[0].token_ids)


    def test_later_turns_are_sent_what_is_new(self):
        policy = "anchors=text,longest=16,keep=none,sinks=4,recent=32,view=all,prefill=full,salient=0.4,write=full"
        with (running(decode=2, model=MEDIUM_MODEL, policy=policy) as c,
              running(model=MEDIUM_MODEL, policy=policy, node_flags=NO_CACHE) as without):
            ids, nodes, moved, moved_without = random_ids(200, 91), set(), 0, 0
            for turn in range(6):
                wait_for(lambda: c.reserved_rows() == 0, "the end of earlier answers in the heartbeats", 5)
                answer, _, last, trailing = stream(c, request(ids, max_tokens=10))
                alone, _, last_alone, _ = stream(without, request(ids, max_tokens=10))
                self.assertEqual(answer, alone)
                self.assertEqual(last.provenance.kept_ranges, last_alone.provenance.kept_ranges)
                self.assertEqual(last_alone.usage.held_rows, 0)
                self.assertEqual(last.usage.held_rows > 0, turn > 0)
                row = last.usage.full_bytes / last.usage.prompt_tokens
                self.assertLess(last.usage.segment_bytes,  # headers have a few bytes for each range of rows
                                last_alone.usage.segment_bytes - last.usage.held_rows * row + 1000)
                nodes.add(trailing["kedge-decode-node"])
                moved += last.usage.segment_bytes
                moved_without += last_alone.usage.segment_bytes
                ids = ids + answer + random_ids(30, 92 + turn)
            self.assertEqual(len(nodes), 1)  # that has the beginning
            self.assertLess(moved, 0.7 * moved_without)
            wait_for(lambda: sum(node.held_rows for node in c.list()) > 0, "held rows in the heartbeats", 5)
            self.assertEqual(sum(node.held_rows for node in without.list()), 0)

    def test_an_adaptive_budget_says_how_far_it_grew(self):
        ids, usages = random_ids(600, 17), []
        with running(model=MEDIUM_MODEL) as c:
            for share in ("0.2", "0.2-0.8", "0.2-0.3"):
                policy = ("anchors=text,longest=16,keep=none,sinks=4,recent=32,view=all,prefill=full,write=full,"
                          f"salient={share}")
                usages.append(c.stub.Generate(request(ids, max_tokens=2, policy=policy)).usage)
        fixed, wide, narrow = usages
        self.assertEqual(fixed.adaptive_rows, 0)
        self.assertGreater(wide.adaptive_rows, narrow.adaptive_rows)
        self.assertGreater(narrow.adaptive_rows, 0)
        self.assertLessEqual(narrow.adaptive_rows, 60)  # from a fifth of 600 to three tenths
        for usage in (wide, narrow):  # the fixed budget may not be used up: sequences are whole
            self.assertAlmostEqual(usage.kept_rows - usage.adaptive_rows, fixed.kept_rows, delta=16)


class FaultTest(unittest.TestCase):
    """Each test has a cluster of its own, because nodes die in it."""

    def test_killed_decode_node_loses_no_token(self):
        with running(prefill=1, decode=2, model=MEDIUM_MODEL) as c:
            message = request(random_ids(200, 4), max_tokens=1500)
            expected = stream(c, message)[0]
            wait_for(lambda: c.reserved_rows() == 0, "the end of the first answer in the heartbeats", 5)
            call = c.stub.GenerateStream(message)
            ids = []
            for count, part in enumerate(call):
                for completion in part.completions:
                    ids.extend(completion.token_ids)
                if count == 5:
                    self.busy_node(c, "decode").end(signal.SIGKILL)
                last = part
            self.assertEqual(ids, expected)
            self.assertGreaterEqual(last.provenance.failovers, 1)
            wait_for(lambda: c.reserved_rows() == 0, "rows back", 5)

    @staticmethod
    def busy_node(c, role):
        kind = {"prefill": cluster_pb2.NODE_ROLE_PREFILL, "decode": cluster_pb2.NODE_ROLE_DECODE}[role]

        def find():
            busy = [node.address for node in c.list() if node.role == kind and node.reserved_rows > 0]
            return [process for process in c.nodes[role] if process.address() in busy]
        return wait_for(find, f"a busy {role} node", 10)[0]

    def test_killed_only_decode_node_is_a_clean_status_at_once(self):
        with running(model=MEDIUM_MODEL) as c:
            call = c.stub.GenerateStream(request(random_ids(100, 4), max_tokens=1500))
            next(call)
            c.nodes["decode"][0].end(signal.SIGKILL)
            started = time.time()
            with self.assertRaises(grpc.RpcError) as raised:
                for _ in call:
                    pass
            self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)
            self.assertLess(time.time() - started, 1.5)
            c.add("decode", model=MEDIUM_MODEL)
            wait_for(lambda: sum(node.ready for node in c.list()) == 2, "the new node")
            self.assertEqual(len(stream(c, request(ids=[20, 21]))[0]), 24)

    def test_killed_prefill_node_is_gone_around(self):
        with running(prefill=2, decode=1, model=MEDIUM_MODEL, node_flags=NO_CACHE) as c:
            messages = [request(random_ids(700, 50 + i), policy="full", max_tokens=4) for i in range(8)]
            expected = [stream(c, message)[0] for message in messages]
            wait_for(lambda: c.reserved_rows() == 0, "the end of these answers in the heartbeats", 5)
            with concurrent.futures.ThreadPoolExecutor(12) as pool:
                # So many that a heartbeat comes meanwhile, however fast the machine is.
                futures = [pool.submit(stream, c, message) for message in 5 * messages]
                victim = self.busy_node(c, "prefill")  # in the middle of a prompt, and of its frames
                self.assertFalse(all(future.done() for future in futures))
                victim.end(signal.SIGKILL)
                self.assertEqual([future.result()[0] for future in futures], 5 * expected)
            wait_for(lambda: c.reserved_rows() == 0, "rows back", 5)

    def test_without_prefill_nodes_the_decode_node_computes(self):
        with running(prefill=0, decode=1) as c:
            ids, _, last, trailing = stream(c, request(random_ids(50, 1)))
            self.assertEqual(len(ids), 24)
            self.assertEqual(last.usage.segment_bytes, 0)
            self.assertEqual(trailing.get("kedge-prefill-node", ""), "")

    def test_no_decode_node_is_unavailable_and_health_says_so(self):
        with running(prefill=1, decode=0) as c:
            with self.assertRaises(grpc.RpcError) as raised:
                stream(c, request(ids=[20, 21]), timeout=20)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)
            self.assertEqual(tool("health", "--router", c.address).returncode, 1)

    def test_a_node_with_another_model_is_refused_by_name(self):
        with running() as c:
            stranger = c.add("decode", model=OTHER_MODEL)
            wait_for(lambda: "fingerprint" in stranger.log(), "a refusal in the node's log", 10)
            self.assertEqual(len(c.list()), 2)
            stranger = c.add("prefill", "--kv-type", "f32")
            wait_for(lambda: "kv_type" in stranger.log() or "KV type" in stranger.log(), "a refusal", 10)
            self.assertEqual(len(c.list()), 2)

    def test_an_adapter_is_served_with_its_policy_and_only_by_nodes_that_have_it(self):
        with running(policy="", flags=("--adapter", ADAPTER)) as c:
            ids = random_ids(150, 7)
            answer = c.stub.Generate(request(ids, logprobs=1))
            completion = answer.completions[0]
            self.assertGreater(answer.usage.segment_bytes, 0)
            whole = ids + list(completion.token_ids)
            result = tool("score", "--model", MODEL, "--adapter", ADAPTER, "--path", "steps", "--generated-from",
                          str(len(ids)), "--tokens", ",".join(map(str, whole)), "--format", "json")
            self.assertEqual(result.returncode, 0, result.stderr)
            score = json.loads(result.stdout)
            self.assertEqual(answer.provenance.policy, score["policy"])
            self.assertIn("anchors=40+41+42+43,", score["policy"])
            for got, want in zip([l.logprob for l in completion.logprobs], score["logprobs"][len(ids) - 1:], strict=True):
                self.assertEqual(got, ctypes.c_float(want).value)  # to the bit: the API has floats
            for flags in (("--adapter", OTHER_ADAPTER), ()):
                stranger = c.add("decode", *flags)
                wait_for(lambda: "fingerprint" in stranger.log(), "a refusal in the node's log", 10)
                self.assertEqual(len(c.list()), 2)

    def test_requests_that_do_not_fit_are_refused_and_those_that_do_are_served(self):
        with running(prefill=1, decode=1, kv_memory="1") as c:
            rows = c.list()[0].total_rows
            answers = []
            message = request(random_ids(400, 1), policy="full", max_tokens=100)
            if rows < 500:
                with self.assertRaises(grpc.RpcError) as raised:
                    stream(c, message)
                self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
            with concurrent.futures.ThreadPoolExecutor(24) as pool:
                futures = [pool.submit(stream, c, request(random_ids(60, i), policy="full")) for i in range(24)]
                answers = [future.result()[0] for future in futures]
            self.assertTrue(all(len(ids) == 24 for ids in answers))

    def test_router_that_restarts_finds_its_nodes_again(self):
        with running() as c:
            port = c.address.rsplit(":", 1)[1]
            c.router.end(signal.SIGKILL)
            c.router = Process("router", "--listen", f"127.0.0.1:{port}", "--cluster-listen",
                               c.cluster_address, "--model", MODEL)
            c.router.address()
            wait_for(lambda: self.ready(c) == 2, "the nodes to come back", 15)
            self.assertEqual(len(stream(c, request(ids=[20, 21, 22]))[0]), 24)

    @staticmethod
    def ready(c):
        try:
            return sum(node.ready for node in c.list())
        except grpc.RpcError:
            return 0

    def test_up_is_gone_soon_after_a_signal(self):
        up = subprocess.Popen([TOOL, "up", "--model", MODEL, "--prefill", "2", "--decode", "2"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT)
        line = up.stdout.readline()
        self.assertRegex(line, r"^ready \S+:\d+$")
        address = line.split()[1]
        started = children(up.pid)
        self.assertEqual(sorted(started.values()), ["kedge-decode", "kedge-decode", "kedge-prefill", "kedge-prefill", "kedge-router"])
        with grpc.insecure_channel(address) as channel:
            stub = inference_pb2_grpc.InferenceServiceStub(channel)
            self.assertEqual(len(stub.Generate(request(ids=[20, 21])).completions[0].token_ids), 24)
        up.send_signal(signal.SIGTERM)
        self.assertEqual(up.wait(timeout=10), 0)
        wait_for(lambda: not any(is_alive(child) for child in started), "children gone", 1)
        up.stdout.close()

    def test_run_answers_and_leaves_nothing(self):
        result = tool("run", "Hello there.", "--model", MODEL, "--max-tokens", "8", "--ignore-eos", "--policy",
                      "window,recent=16")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(result.stdout.strip())
        self.assertIn("prefill-", result.stderr)
        self.assertIn("decode-", result.stderr)

    def test_run_reads_the_prompt_before_it_starts_anything(self):
        result = tool("run", "--prompt-file", os.path.join(TMP, "missing.txt"), "--model", MODEL)
        self.assertEqual(result.returncode, 1)
        self.assertIn("missing.txt", result.stderr)
        self.assertNotIn("starting", result.stderr)

    def test_run_takes_an_adapter(self):
        command = ("run", "Hello there.", "--model", MODEL, "--max-tokens", "8", "--ignore-eos", "--format", "json")
        plain = tool(*command)
        adapted = tool(*command, "--adapter", ADAPTER)
        self.assertEqual(adapted.returncode, 0, adapted.stderr)
        self.assertNotEqual(json.loads(adapted.stdout)["token_ids"], json.loads(plain.stdout)["token_ids"])
        wrong = tool(*command, "--adapter", MODEL)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("general.type", wrong.stderr)


if __name__ == "__main__":
    copy_programs()
    for path, size, seed in ((MODEL, "tiny", 1), (OTHER_MODEL, "tiny", 2), (MEDIUM_MODEL, "medium", 3)):
        make_model(path, size, seed)
    make_adapter(ADAPTER, 1, ADAPTER_POLICY)
    make_adapter(OTHER_ADAPTER, 2, ADAPTER_POLICY)
    unittest.main(verbosity=2)
