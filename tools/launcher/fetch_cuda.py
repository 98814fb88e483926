#!/usr/bin/env python3
"""Fetches NVIDIA's CUDA toolkit, as far as Kedge's build needs it, and NCCL, once, from PyPI, and prints where it lies.

Needs no root and no driver, and touches nothing else: remove the folder to be rid of it. An installed toolkit is used
before this one: the folder that CUDA_HOME names, or /usr/local/cuda. Builds are for CUDA where there are a toolkit and
an NVIDIA GPU, or with KEDGE_CUDA=1, and never with KEDGE_CUDA=0; `kedge doctor` says what is there. The wheels are
NVIDIA's, under NVIDIA's licences (licenses/ in the folder), and are checked by SHA-256.
"""
# Work happens in FOLDER.partial under an flock'ed FOLDER.lock, and FOLDER appears by one rename. Tested by
# fetch_cuda_test.py.
import argparse
import fcntl
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile

WHEELS_BYTES = 301_000_000  # what pip brings
ROOM_BYTES = 1_200_000_000  # the wheels twice, for pip copies them, and what they hold
NOT_NEEDED = re.compile(r"nvidia/[^/]+/(\.metadata|lib/cmake)/")


def say(message):
    print("kedge: " + message, file=sys.stderr, flush=True)


class Failure(Exception):
    pass


class Stopped(Exception):
    pass


def size_of(folder):
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # files come and go while pip works
            pass
    return total


class Progress:
    """On a terminal one line that changes; elsewhere a line every half minute."""

    def __init__(self):
        self.on_terminal = sys.stderr.isatty()
        self.next_line = time.monotonic() + 30

    def show(self, done):
        share = min(done, WHEELS_BYTES) / WHEELS_BYTES
        line = "[%-20s] %d %%: fetching the CUDA toolkit" % ("#" * int(20 * share), 100 * share)
        if self.on_terminal:
            sys.stderr.write("\r%s\x1b[K" % line)
            sys.stderr.flush()
        elif time.monotonic() >= self.next_line:
            say(line)
            self.next_line += 30

    def end(self):
        if self.on_terminal:
            sys.stderr.write("\r\x1b[K")


def failure_of(log):
    """What pip says: of the network, or its last line that says ERROR, or its last line."""
    broken = re.findall(r"connection broken by '(.*)': /", log)
    if broken:
        return Failure("PyPI cannot be reached: %s; set CUDA_HOME to an installed CUDA toolkit"
                       % broken[-1].split(">: ")[-1].rstrip("'\")"))
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return Failure("cannot fetch the CUDA toolkit: set CUDA_HOME to an installed one, or let pip reach PyPI (%s)"
                   % (errors or lines or ["no reason given"])[-1])


def download(wheels_file, to):
    """Runs pip, which checks the hashes."""
    wheels, temporary, log = to / "wheels", to / "tmp", to / "log"
    temporary.mkdir()
    command = [sys.executable, "-I", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir",
               "--retries=2", "--disable-pip-version-check", "--progress-bar=off", "--require-hashes",
               "-r", str(wheels_file), "-d", str(wheels)]
    progress = Progress()
    with open(log, "w", encoding="utf-8") as out:
        pip = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                               env={**os.environ, "TMPDIR": str(temporary), "PIP_NO_INPUT": "1"})
        try:
            while pip.poll() is None:
                time.sleep(0.1)
                progress.show(size_of(to))
        finally:
            pip.kill()
            pip.wait()
            progress.end()
    if pip.returncode != 0:
        raise failure_of(log.read_text(encoding="utf-8", errors="replace"))
    return sorted(wheels.glob("*.whl"))


def unpack(wheel, to):
    """nvidia/PART/bin/nvcc becomes bin/nvcc; licences are kept under the wheel's name."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            name = pathlib.PurePosixPath(member.filename)
            if member.is_dir() or NOT_NEEDED.match(member.filename):
                continue
            if name.parts[0] == "nvidia" and len(name.parts) > 2:
                target = to.joinpath(*name.parts[2:])
            elif "licenses" in name.parts:
                target = to / "licenses" / (wheel.name.split("-")[0] + ".txt")
            else:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
            target.chmod(0o755 if member.external_attr >> 16 & 0o100 else 0o644)


def fetch(wheels_file, folder):
    """REQUIRES: the lock is held."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # left behind by a process that was killed
    free = shutil.disk_usage(folder.parent).free
    if free < ROOM_BYTES:
        raise Failure("%s: fetching the CUDA toolkit needs %d MB, and %d MB are free: make room, or set XDG_CACHE_HOME "
                      "to a folder on another disk" % (folder.parent, ROOM_BYTES // 10**6, free // 10**6))
    try:
        partial.mkdir()
        say("fetching the CUDA toolkit, once, from PyPI (%d MB, under NVIDIA's licences)" % (WHEELS_BYTES // 10**6))
        for wheel in download(wheels_file, partial):
            unpack(wheel, partial / "toolkit")
        os.sync()  # the name must not outlive a power failure that the bytes don't
        (partial / "toolkit").rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say("the CUDA toolkit is there")


def stop(number, frame):
    raise Stopped(number)


def main():
    # The launcher names the folder and the wheels; its users know nothing of these.
    parser = argparse.ArgumentParser(prog="kedge cuda", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--wheels", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = arguments.folder
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with open(folder.with_name(folder.name + ".lock"), "w", encoding="utf-8") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    say("another kedge fetches the CUDA toolkit; waiting for it")
                    fcntl.flock(lock, fcntl.LOCK_EX)
                if not folder.exists():
                    fetch(arguments.wheels, folder)
        print(folder)
    except Stopped as stopped:
        say("stopped by a signal")
        sys.exit(128 + stopped.args[0])
    except Failure as failure:
        say(str(failure))
        sys.exit(1)
    except OSError as error:
        say("%s: %s" % (error.filename or folder, error.strerror))
        sys.exit(1)


if __name__ == "__main__":
    main()
