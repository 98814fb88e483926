"""Gets llama.cpp from PyPI and builds it in the cache directory: nothing of it enters this tree.

The sdist of llama-cpp-python holds the whole of llama.cpp with its tools. CACHE/peers/llama-cpp-python-VERSION has the
sources, a build directory for each kind of build on each kind of processor (they use all that the processor has, so
they would not run on another), and the model files made with it.
"""
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile

from bench.program import Failed, say

VERSION = "0.3.36"
SDIST = "llama-cpp-python"
TARGETS = ("llama-batched-bench", "llama-quantize", "llama-server")
# Static, without network, web pages and tests: what is measured needs none of it.
OPTIONS = ("-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF", "-DGGML_NATIVE=ON", "-DGGML_CCACHE=OFF",
           "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_APP=OFF",
           "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF")


def cpu_flags(cpuinfo):
    """The flags of the first processor in the text of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        if line.startswith(("flags", "Features")):
            return line.split(":", 1)[1].split()
    return []


def kinds_of_builds(flags):
    """Name and further compiler flags of each build. AVX512-FP16 is not always a gain: where the processor has it,
    there is a build without as well, and the faster one counts."""
    kinds = [("native", "")]
    if "avx512_fp16" in flags:
        kinds.append(("no-avx512fp16", "-mno-avx512fp16"))
    return kinds


def run(command, log, what):
    """Its output goes to the log; a failure is told with the log's last lines."""
    with open(log, "ab") as file:
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                                check=False).returncode
    if status == 0:
        return
    with open(log, encoding="utf-8", errors="replace") as file:
        last = "\n".join(file.read().splitlines()[-8:])
    raise Failed(f"{what} failed (exit code {status}); log: {log}\n{last}")


def unpack(sdist, to):
    """The folder vendor/llama.cpp of the sdist as `to`."""
    marker = "/vendor/llama.cpp/"
    with tempfile.TemporaryDirectory(dir=os.path.dirname(to)) as place:
        with tarfile.open(sdist) as archive:
            for member in archive:
                at = member.name.find(marker)
                if at < 0 or not (member.isfile() or member.isdir()):
                    continue
                member.name = member.name[at + len(marker):]
                if not member.name or member.name.startswith("/") or ".." in member.name.split("/"):
                    continue
                archive.extract(member, place, set_attrs=False)
        if not os.path.exists(os.path.join(place, "CMakeLists.txt")):
            raise Failed(f"{os.path.basename(sdist)} has no vendor/llama.cpp")
        shutil.copytree(place, to + ".new")
        os.rename(to + ".new", to)


def fetch(directory):
    """The sources, fetched if they are not there."""
    source = os.path.join(directory, "source")
    if os.path.exists(source):
        return source
    say(f"fetching the sources of {SDIST} {VERSION} from PyPI, once (about 77 MB)")
    shutil.rmtree(source + ".new", ignore_errors=True)  # left behind by one that was interrupted
    with tempfile.TemporaryDirectory(dir=directory) as place:
        run(["python3", "-m", "pip", "download", "--no-deps", "--no-binary", SDIST, "--disable-pip-version-check",
             "--retries=2", "-d", place, f"{SDIST}=={VERSION}"], os.path.join(directory, "fetch.log"),
            f"pip download {SDIST}=={VERSION}")
        found = [name for name in os.listdir(place) if name.endswith(".tar.gz")]
        if not found:
            raise Failed(f"pip brought no sdist of {SDIST}=={VERSION}")
        unpack(os.path.join(place, found[0]), source)
    return source


def build(directory, source, kind, compiler_flags, flags):
    """The folder with the programs of one kind of build, built if it is not there."""
    processor = hashlib.sha256(" ".join(sorted(flags)).encode()).hexdigest()[:8]
    place = os.path.join(directory, f"build-{kind}-{processor}")
    done = os.path.join(place, "done")
    if not os.path.exists(done):
        log = place + ".log"
        say(f"building llama.cpp ({kind}), once: ten minutes or more on two cores; log: {log}")
        more = [f"-DCMAKE_C_FLAGS={compiler_flags}", f"-DCMAKE_CXX_FLAGS={compiler_flags}"] if compiler_flags else []
        run(["cmake", "-S", source, "-B", place, *OPTIONS, *more], log, "cmake")
        run(["cmake", "--build", place, f"-j{os.cpu_count()}", "--target", *TARGETS], log, "the build of llama.cpp")
        with open(done, "w", encoding="utf-8"):
            pass
    return os.path.join(place, "bin")


@contextlib.contextmanager
def locked(directory):
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "lock"), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another one prepares llama.cpp; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare(cache, flags):
    """Returns (directory, {kind: folder with programs})."""
    directory = os.path.join(cache, "peers", f"{SDIST}-{VERSION}")
    with locked(directory):
        source = fetch(directory)
        return directory, {kind: build(directory, source, kind, compiler_flags, flags)
                           for kind, compiler_flags in kinds_of_builds(flags)}


def requantized(directory, programs, model, heads):
    """The model as Q8_0, made if it is not there or older than the model. `heads`: salience heads, which an unknown
    file would not have; they are the same model's."""
    made = os.path.join(directory, "Q8_0-" + hashlib.sha256(os.path.realpath(model).encode()).hexdigest()[:8] + ".gguf")
    with locked(directory):
        if os.path.exists(made) and os.path.getmtime(made) >= os.path.getmtime(model):
            return made
        say(f"making {made} with llama-quantize, once")
        more = ["--override-kv", f"kedge.salience.heads=str:{heads}"] if heads else []
        run([os.path.join(programs, "llama-quantize"), "--allow-requantize", *more, model, made + ".new", "Q8_0"],
            os.path.join(directory, "quantize.log"), "llama-quantize")
        os.rename(made + ".new", made)
    return made
