#!/usr/bin/env python3
"""Registers and spills of CUDA kernels, as a table, from what nvcc -Xptxas -v prints.

With --no-spills FILE, which names functions, one a line: fails if one of them has spilled registers to memory on some
architecture, or is not there.
"""
import argparse
import re
import subprocess
import sys

_ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(\S+)'")
_SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")


def read_report(text):
    """The kernels of a report, in its order: dicts with "symbol", "code", "registers", "stack", "stores", "loads"."""
    kernels = []
    for line in text.splitlines():
        if match := _ENTRY.search(line):
            kernels.append({"symbol": match[1], "code": match[2]})
        elif kernels and (match := _SPILLS.search(line)) and "stack" not in kernels[-1]:
            kernels[-1].update(zip(("stack", "stores", "loads"), map(int, match.groups())))
        elif kernels and (match := _USED.search(line)):
            kernels[-1]["registers"] = int(match[1])
    for kernel in kernels:
        if "stack" not in kernel or "registers" not in kernel:
            raise ValueError("the report is cut off at " + kernel["symbol"])
    return kernels


def demangle(symbols):
    """{symbol: name without namespaces, return type and parameters}."""
    names = subprocess.run(["c++filt"], input="\n".join(symbols), text=True, check=True, capture_output=True).stdout
    return {symbol: short_name(name) for symbol, name in zip(symbols, names.splitlines())}


def short_name(name):
    """"void a::(anonymous namespace)::F<(b)1>(int)" is "F<(b)1>"."""
    depth, begin = 0, 0
    name = name.replace("(anonymous namespace)", "{}")
    for i, letter in enumerate(name):
        if depth == 0 and letter == "(":
            return name[begin:i]
        if depth == 0 and (letter in " :"):
            begin = i + 1
        depth += (letter in "<(") - (letter in ">)")
    return name[begin:]


def table(kernels):
    rows = [("KERNEL", "CODE", "REGISTERS", "STACK", "SPILL STORES", "SPILL LOADS")]
    rows += [(k["name"], k["code"], *(str(k[key]) for key in ("registers", "stack", "stores", "loads"))) for k in kernels]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def complaints(kernels, wanted):
    """What is wrong with kernels whose function is in `wanted`."""
    functions = {kernel["name"].split("<")[0] for kernel in kernels}
    found = ["%s: there is no such kernel" % name for name in wanted if name not in functions]
    return found + ["%s, %s: %d bytes spilled, %d read back" % (k["name"], k["code"], k["stores"], k["loads"])
                    for k in kernels if k["name"].split("<")[0] in wanted and k["stores"] + k["loads"] > 0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-spills", metavar="FILE", help="names of functions, one a line; # begins a comment")
    parser.add_argument("reports", nargs="*", metavar="REPORT")
    arguments = parser.parse_args()
    kernels = []
    for path in arguments.reports:
        with open(path, encoding="utf-8") as file:
            kernels += read_report(file.read())
    names = demangle([kernel["symbol"] for kernel in kernels])
    for kernel in kernels:
        kernel["name"] = names[kernel["symbol"]]
    kernels.sort(key=lambda kernel: (kernel["name"], kernel["code"]))
    print(table(kernels))
    wanted = []
    if arguments.no_spills:
        with open(arguments.no_spills, encoding="utf-8") as file:
            wanted = [name for line in file if (name := line.split("#")[0].strip())]
    wrong = complaints(kernels, wanted)
    for line in wrong:
        print("FAILED: " + line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
