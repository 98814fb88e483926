#!/usr/bin/env python3
"""Makes the held-out documents of prose/, documentation/, code/ and data/ from Debian packages and from this project.

    ./make_held_out.py UNPACKED

UNPACKED holds the packages that README.md names, unpacked (`dpkg-deb -x`). What this machine wrote once, the logs, can not
be made again and stays as it is. The results are committed, so that everybody measures the same bytes; this says how they
came about.
"""
import pathlib
import re
import struct
import subprocess
import sys
import zlib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "training"))

# Bytes that have a context of 1,000, 2,000 and 4,000 tokens and what follows it, on vocabularies of 50,000 tokens and more.
SIZES = {"prose": (5600, 10400, 20500), "documentation": (5600, 10400, 20500), "code": (4700, 8900, 17500),
         "data": (3800, 7200, 14200)}
MEDIUM, LONG = 4, 2  # so many documents of each kind are longer, the first ones

# Novel (number in the package) -> chapters.
NOVELS = {0: ("emma", (7, 16, 25, 33, 42, 50)), 1: ("mansfield-park", (5, 14, 22, 31, 39)),
          2: ("northanger-abbey", (6, 13, 21, 27)), 3: ("persuasion", (4, 11, 17, 20)),
          4: ("pride-and-prejudice", (15, 29, 38, 52)), 5: ("sense-and-sensibility", (9, 24, 41))}
# Pages that training/corpus.py leaves out of the training text.
PYTHON = ("library/multiprocessing", "library/urllib.request", "library/functools", "library/imaplib", "library/operator",
          "library/asyncio-protocol", "distutils/examples", "library/email.policy", "library/mmap", "library/collections",
          "howto/annotations", "reference/executionmodel", "c-api/memory")
POSTGRESQL = ("plpgsql-control-structures", "queries-table-expressions", "collation", "kernel-resources", "xaggr",
              "runtime-config-query", "dynamic-trace", "functions-binarystring", "populate", "libpq-misc", "amcheck",
              "runtime-config-developer", "storage-page-layout")
OWN_CODE = ("router/request_parser.cc", "decode/decode_engine.cc", "common/model/gguf.cc", "common/jinja/expression_parser.cc",
            "common/model/transformer.cc", "common/anchor/segment.cc", "common/anchor/tracker_test.cc",
            "common/jinja/string_methods.cc", "common/kernels/choose_token.cc", "protos/kedge/inference/v1/inference.proto",
            "training/train.py", "common/tokenizer/cut_strength.cc", "kedge")
PYTHON_CODE = ("difflib", "nntplib", "telnetlib", "plistlib", "mailcap", "ftplib", "smtplib", "gettext", "cgi", "netrc",
               "mailbox", "fileinput", "trace")
DATA = {"zone1970": "usr/share/zoneinfo/zone1970.tab", "tzdata": "usr/share/zoneinfo/tzdata.zi",
        "iso3166": "usr/share/zoneinfo/iso3166.tab", "leap-seconds": "usr/share/zoneinfo/leap-seconds.list",
        "sql_features": "usr/share/postgresql/15/sql_features.txt", "errcodes": "usr/share/postgresql/15/errcodes.txt",
        "postgresql.conf": "usr/share/postgresql/15/postgresql.conf.sample",
        "timezonesets": "usr/share/postgresql/15/timezonesets/Default",
        "timezonesets-america": "usr/share/postgresql/15/timezonesets/America.txt",
        "system_constraints": "usr/share/postgresql/15/system_constraints.sql",
        "postgres.bki": "usr/share/postgresql/15/postgres.bki"}
OWN_COMMIT = "b2b00542efd21c9e040beb2cc1cea9dac0735783"  # files of this project change; these do not
OWN_DATA = {"fidelity": "docs/fidelity/results.json", "cuts": "common/tokenizer/testdata/cuts.json",
            "vocabulary_vectors": "common/tokenizer/testdata/vocabulary_vectors.json",
            "chat_vectors": "common/tokenizer/testdata/chat_vectors.json", "performance": "docs/performance.md"}
LOGS = 9  # log-*.txt, of this machine


def novels(path):
    """Texts of an R data base of character vectors: one compressed serialisation after the other."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        stream = zlib.decompressobj()
        values = stream.decompress(data[at + 4:])
        at = len(data) - len(stream.unused_data)
        lines, place = [], 0
        while match := re.compile(rb"\0[\0\4][\0-\xff]\x09(....)", re.S).search(values, place):
            length = struct.unpack(">i", match[1])[0]
            if 0 <= length < 300:
                lines.append(values[match.end():match.end() + length].decode())
            place = match.end() + max(length, 0) if length < 300 else match.start() + 1
        yield "\n".join(lines)


def prose(unpacked):
    path = unpacked / "r-cran-janeaustenr/usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"
    for number, novel in enumerate(novels(path)):
        name, wanted = NOVELS[number]
        chapters = re.split(r"^chapter .*$", novel, flags=re.M | re.I)
        for chapter in wanted:
            text = chapters[chapter].replace("_", "").replace("--", "—")
            yield f"{name}-{chapter}", "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))


def documentation(unpacked):
    import corpus
    for prefix, folder, pages in (("python", "python3.11-doc/usr/share/doc/python3.11/html", PYTHON),
                                  ("postgresql", "postgresql-doc-15/usr/share/doc/postgresql-doc-15/html", POSTGRESQL)):
        for page in pages:
            path = unpacked / folder / f"{page}.html"
            assert corpus.is_held_out("/" + str(path.relative_to(unpacked)).split("/", 1)[1]), page
            yield f"{prefix}-{page.replace('/', '_')}", corpus.page_text(path)


def code(unpacked):
    for file in OWN_CODE:
        yield "kedge-" + file.replace("/", "_"), (ROOT / file).read_text(encoding="utf-8")
    for module in PYTHON_CODE:
        path = unpacked / f"libpython3.11-stdlib/usr/lib/python3.11/{module}.py"
        yield "python-" + module, path.read_text(encoding="utf-8")


def data(unpacked):
    for name, file in DATA.items():
        package = "tzdata" if "zoneinfo" in file else "postgresql-15"
        yield name, (unpacked / package / file).read_text(encoding="utf-8")
    for name, file in OWN_DATA.items():
        yield "kedge-" + name, subprocess.check_output(["git", "show", f"{OWN_COMMIT}:{file}"], cwd=ROOT, encoding="utf-8")


def main():
    unpacked = pathlib.Path(sys.argv[1]).resolve()
    for kind, documents in (("prose", prose), ("documentation", documentation), ("code", code), ("data", data)):
        (HERE / kind).mkdir(exist_ok=True)
        short, medium, long = SIZES[kind]
        made = LOGS if kind == "data" else 0
        for name, text in documents(unpacked):
            size = long if made < LONG else medium if made < LONG + MEDIUM else short
            text = text.replace("\r\n", "\n").strip() + "\n"
            body = text.encode()
            if len(body) < short:
                print(f"{kind}/{name}: only {len(body)} bytes")
                continue
            end = body.find(b"\n", size)
            (HERE / kind / f"{name}.txt").write_bytes(body[:end + 1] if end >= 0 else body)
            made += 1
        print(f"{kind}: {made} documents")


if __name__ == "__main__":
    main()
