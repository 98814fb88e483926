"""What the scripts of this room share: running programs, and where files are kept."""
import os
import signal
import subprocess
import sys


class Failed(Exception):
    """Something was not to be had, or gave no figure; the message says what and why."""


def say(message):
    print(f"kedge: {message}", file=sys.stderr, flush=True)


def cache_directory():
    base = os.environ.get("XDG_CACHE_HOME", "")  # a relative path counts as unset
    return os.path.join(base if base.startswith("/") else os.path.expanduser("~/.cache"), "kedge")


def call(command, timeout):
    """stdout of a program that must succeed within so many seconds."""
    # A group of its own: what it has started ends with it.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, start_new_session=True)
    name = os.path.basename(command[0])
    try:
        out, err = process.communicate(timeout=max(timeout, 1))
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{name} took longer than the {timeout:.0f} s that it had") from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        last = "\n".join((err.strip() or out.strip()).splitlines()[-5:])
        raise Failed(f"{name} ended with exit code {process.returncode}: {last}")
    return out
