"""What the machine is: lines of JSON as probe.h writes them. Nothing here needs a GPU; what is missing is said."""

import importlib.metadata
import json
import os
import platform
import resource
import shutil
import subprocess
import sys


def report(what, note, value=None, unit=""):
    print(json.dumps({"part": "environment", "what": what, "value": value, "unit": unit, "note": note}), flush=True)


def output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return done.stdout.strip() or done.stderr.strip() or "no answer"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"cannot be asked: {error}"


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def find_nccl():
    """The library of the wheel that torch brings along, or one of the system's; None."""
    for folder in sys.path:
        path = os.path.join(folder, "nvidia", "nccl", "lib", "libnccl.so.2")
        if os.path.exists(path):
            return path
    for line in output("ldconfig", "-p").splitlines():
        if "libnccl.so.2" in line and "=>" in line:
            return line.split("=>")[1].strip()
    return None


def main():
    if sys.argv[1:] == ["--nccl"]:
        print(find_nccl() or "")
        return
    query = "name,memory.total,driver_version,compute_cap,clocks.max.sm,clocks.max.memory"
    report("GPU, memory, driver, capability, clocks at most", output("nvidia-smi", f"--query-gpu={query}",
                                                                     "--format=csv,noheader"))
    report("nvcc", output(os.environ.get("NVCC", "nvcc"), "--version").splitlines()[-1])
    report("g++", output("g++", "--version").splitlines()[0])
    report("C library", " ".join(platform.libc_ver()))
    report("kernel", f"{platform.release()}; {output('sh', '-c', 'dmesg 2>/dev/null | head -1')[:60]}")
    report("processors", f"{os.cpu_count()}, {output('sh', '-c', 'grep -m1 model.name /proc/cpuinfo')}")
    with open("/proc/meminfo", encoding="ascii") as memory:
        report("memory of the host", memory.readline().strip())
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    report("locked memory, bytes", f"soft {soft}, hard {hard} (-1: no limit)")
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    report("open files", f"{files}")
    report("shared memory", output("sh", "-c", "df -h /dev/shm | tail -1"))
    for package in ("torch", "nvidia-nccl-cu13", "triton", "xxhash"):
        report(package, version(package))
    report("libnccl", find_nccl() or "not found")
    for tool in ("compute-sanitizer", "ncu", "cuobjdump"):
        report(tool, shutil.which(tool) or "not on the path")


if __name__ == "__main__":
    main()
