#!/usr/bin/env python3
"""`kedge chat` and `kedge run` as a person at a terminal meets them: Ctrl-C in the middle of an answer, and the end."""
import os
import pty
import select
import signal
import subprocess
import termios
import time
import unittest

from programs import ENVIRONMENT, TMP, TOOL, children, copy_programs, is_alive, make_model

MODEL = os.path.join(TMP, "medium.gguf")


class Terminal:
    """`kedge chat` on a terminal of its own, without echo: what comes is what it wrote."""

    def __init__(self, *arguments):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve(TOOL, [TOOL, "chat", *arguments], ENVIRONMENT)
        attributes = termios.tcgetattr(self.terminal)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(self.terminal, termios.TCSANOW, attributes)
        self.exit_code = None

    def type(self, keys):
        os.write(self.terminal, keys)

    def read(self, seconds):
        """What has come; empty when nothing does within `seconds`, or when the program has ended."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            return b""
        try:
            return os.read(self.terminal, 65536)
        except OSError:  # the other end is closed
            return b""

    def read_until_prompt(self, seconds=60):
        """All up to the next prompt sign; random text may have one, so that it must also be quiet after it."""
        text = b""
        end = time.time() + seconds
        while time.time() < end:
            piece = self.read(0.5)
            text += piece
            if not piece and text.endswith(b"> "):
                return text[:-2]
        raise AssertionError(f"no prompt within {seconds} s: {text!r}")

    def ask(self, line):
        self.type(line + b"\n")
        return self.read_until_prompt()

    def wait(self, seconds):
        end = time.time() + seconds
        while self.exit_code is None and time.time() < end:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code

    def close(self):
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.terminal)


class ChatTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            for end in os.openpty():
                os.close(end)
        except OSError as error:
            raise unittest.SkipTest(f"no pseudo-terminal can be had here: {error}") from error
        cls.up = subprocess.Popen([TOOL, "up", "--model", MODEL, "--kv-memory", "256"], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT)
        cls.address = cls.up.stdout.readline().split()[1]

    @classmethod
    def tearDownClass(cls):
        cls.up.send_signal(signal.SIGINT)
        cls.up.wait(timeout=20)
        cls.up.stdout.close()

    def chat(self, *arguments):
        terminal = Terminal("--router", self.address, "--ignore-eos", *arguments)
        self.addCleanup(terminal.close)
        self.assertIn(b"Ctrl-C stops an answer", terminal.read_until_prompt())
        return terminal

    def test_ctrl_c_stops_the_answer_and_not_the_program(self):
        chat = self.chat("--max-tokens", "400")
        chat.type(b"Tell me all.\n")
        stopped = chat.read(60)
        self.assertTrue(stopped)
        chat.type(b"\x03")
        stopped += chat.read_until_prompt()
        self.assertEqual(chat.ask(b"/reset"), b"")
        whole = chat.ask(b"Tell me all.")
        self.assertLess(len(stopped), len(whole) / 2)
        self.assertTrue(whole.startswith(stopped.replace(b"^C", b"").rstrip(b"\r\n")[:20]), (stopped, whole))
        chat.type(b"\x04")
        self.assertEqual(chat.wait(10), 0)

    def test_ctrl_c_at_the_prompt_says_how_to_end(self):
        chat = self.chat()
        chat.type(b"\x03")
        self.assertIn(b"Ctrl-D or /exit ends", chat.read_until_prompt())
        chat.type(b"/exit\n")
        self.assertEqual(chat.wait(10), 0)

    def test_the_history_is_part_of_the_next_prompt_until_reset(self):
        chat = self.chat("--max-tokens", "40")
        first = chat.ask(b"What is an anchor?")
        second = chat.ask(b"What is an anchor?")
        self.assertNotEqual(first, second)
        chat.ask(b"/reset")
        self.assertEqual(chat.ask(b"What is an anchor?"), first)  # greedy, and exact to the bit


class RunTest(unittest.TestCase):
    def start(self, *arguments):
        run = subprocess.Popen([TOOL, "run", "Tell me all.", "--model", MODEL, "--ignore-eos", "--kv-memory", "256",
                                *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
        self.addCleanup(lambda: run.poll() is None and run.kill())
        self.assertTrue(run.stdout.read(1))  # it answers
        started = children(run.pid)
        self.assertEqual(sorted(started.values()), ["kedge-decode", "kedge-prefill", "kedge-router"])
        return run, started

    def test_ctrl_c_in_the_middle_of_an_answer_ends_all_that_it_started(self):
        run, started = self.start("--max-tokens", "5000")
        stopped_at = time.time()
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=10)
        self.assertEqual(run.returncode, 1)
        self.assertIn(b"stopped by a signal", errors)
        self.assertEqual([name for process, name in started.items() if is_alive(process)], [])
        self.assertLess(time.time() - stopped_at, 10)

    def test_after_the_answer_nothing_is_left(self):
        run, started = self.start("--max-tokens", "200")
        _, errors = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 0, errors)
        self.assertIn(b"done", errors)
        self.assertEqual([name for process, name in started.items() if is_alive(process)], [])


if __name__ == "__main__":
    copy_programs()
    make_model(MODEL, "medium", 3)
    unittest.main(verbosity=2)
