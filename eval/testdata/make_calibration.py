#!/usr/bin/env python3
"""Makes the texts of calibration/ from the sources of Debian's python3-doc: the beginnings of three documents, prose and
code, without markup.

    ./make_calibration.py /usr/share/doc/python3.11/html/_sources

The results are committed, so that everybody measures the same bytes; this says how they came about.
"""
import pathlib
import re
import sys

DOCUMENTS = ("c-api/init", "howto/logging-cookbook", "using/windows")
BYTES = 30000  # of each, cut at the paragraph that reaches them
NOT_SHOWN = r"index|highlight|currentmodule|module|only|contents|versionadded|versionchanged|sectionauthor|image|_"


def plain(source):
    lines = []
    hidden = None  # indent of a directive whose body is left out
    for line in source.splitlines():
        indent = len(line) - len(line.lstrip())
        if hidden is not None and (not line.strip() or indent > hidden):
            continue
        hidden = None
        if re.match(rf"\s*\.\. (?:{NOT_SHOWN})", line) or re.match(r"\s*\.\.(?: [^:]*)?$", line):
            hidden = indent
            continue
        line = re.sub(r"^(\s*)\.\. [a-z:-]+:: ?", r"\1", line)  # another directive: its text stays
        if re.match(r"^(\W)\1{3,}$", line.strip()) or re.match(r"^\s*:[A-Za-z ]+:( |$)", line):
            continue  # underlines of titles, fields
        lines.append(line.rstrip())
    text = "\n".join(lines)
    text = re.sub(r":[a-z:]+:`~?!?([^`<]+?)(?: *<[^`>]*>)?`", r"\1", text)  # roles
    text = re.sub(r"`([^`<]+?) *<[^`>]*>`__?", r"\1", text)  # links
    text = re.sub(r"``([^`]*)``", r"\1", text)
    text = re.sub(r"(?<![*\w])\*{1,2}([^*\s][^*\n]*?)\*{1,2}(?![*\w])", r"\1", text)
    text = text.replace("|version|", "3.11")
    text = re.sub(r"::$", ":", text, flags=re.MULTILINE)
    text = re.sub(r"\n{3,}", "\n\n", text)
    return text.strip() + "\n"


def main():
    sources = pathlib.Path(sys.argv[1])
    for document in DOCUMENTS:
        text = plain((sources / f"{document}.rst.txt").read_text(encoding="utf-8"))
        text = text[: text.index("\n\n", BYTES) + 1]
        path = pathlib.Path(__file__).resolve().parent / "calibration" / (document.replace("/", "_") + ".txt")
        path.write_text(text, encoding="utf-8")
        print(f"{path.name}: {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
