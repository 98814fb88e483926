"""English technical prose from Debian's documentation packages, as tokens, split by document.

A document is one page. Which side it falls on is a function of its path alone, so no page is on both sides and a rebuilt
corpus keeps its sides. Made once and kept as one file (`build`); `apt-get install` of PACKAGES is all it needs.
Tested by corpus_test.py.
"""

import argparse
import glob
import hashlib
import html.parser
import os
import re

import numpy as np

# Package -> (what of it is read, licence as /usr/share/doc/<package>/copyright has it).
PACKAGES = {
    "debian-handbook": ("/usr/share/doc/debian-handbook/html/en-US/*.html", "GPL-2.0+ or CC-BY-SA-3.0"),
    "developers-reference": ("/usr/share/developers-reference/*.html", "GPL-2+"),
    "debian-reference-en": ("/usr/share/debian-reference/*.en.html", "GPL-2+"),
    "debian-faq": ("/usr/share/doc/debian/FAQ/*.en.html", "free to copy and modify, notice kept"),
    "python3.11-doc": ("/usr/share/doc/python3.11/html/**/*.html", "PSF-2.0"),
    "postgresql-doc-15": ("/usr/share/doc/postgresql-doc-15/html/*.html", "PostgreSQL"),
    "git-doc": ("/usr/share/doc/git-doc/**/*.html", "GPL-2"),
}
# Pages that are lists of links, or that hold other pages once more.
NOT_PROSE = re.compile(r"/(genindex.*|py-modindex|search|bookindex|index|contents|developers-reference|index\.en)\.html$|/_static/")
HELD_OUT_SHARE = 16  # one page in so many
SHORTEST = 200  # characters; shorter pages are stubs

SKIPPED_TAGS = {"head", "script", "style", "nav", "footer", "header"}
SKIPPED_CLASSES = {"sphinxsidebar", "related", "navheader", "navfooter", "footer", "toc", "headerlink", "docnav", "id_link",
                   "breadcrumb", "toctree-wrapper", "contents", "topnav", "mobile-nav", "prev", "next", "clearer", "banner"}
BLOCKS = {"p", "div", "li", "ul", "ol", "dl", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "table", "tr", "section",
          "blockquote", "hr", "main", "body"}
VOID = {"br", "hr", "img", "input", "link", "meta", "col", "area", "base", "wbr"}


class PageText(html.parser.HTMLParser):
    """The text of an HTML page: paragraphs with an empty line between, preformatted text as it is, no navigation."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.paragraphs = []
        self._line = []
        self._preformatted = 0
        self._skipped_tag = None  # while inside something that is left out
        self._skipped_depth = 0

    def handle_starttag(self, tag, attributes):
        if self._skipped_tag is not None:
            self._skipped_depth += tag == self._skipped_tag
            return
        attributes = dict(attributes)
        classes = set(f"{attributes.get('class') or ''} {attributes.get('id') or ''}".split())
        if (tag in SKIPPED_TAGS or classes & SKIPPED_CLASSES) and tag not in VOID and tag not in ("html", "body"):
            self._skipped_tag, self._skipped_depth = tag, 1
            return
        if tag in BLOCKS:
            self._end_paragraph()
        if tag == "pre":
            self._preformatted += 1
        elif tag == "br":
            self._line.append("\n")
        elif tag in ("td", "th"):
            self._line.append(" ")

    def handle_endtag(self, tag):
        if self._skipped_tag is not None:
            self._skipped_depth -= tag == self._skipped_tag
            if self._skipped_depth == 0:
                self._skipped_tag = None
            return
        if tag in BLOCKS:
            self._end_paragraph()
        if tag == "pre":
            self._preformatted = max(0, self._preformatted - 1)

    def handle_data(self, data):
        if self._skipped_tag is None:
            self._line.append(data if self._preformatted else re.sub(r"\s+", " ", data))

    def _end_paragraph(self):
        text = "".join(self._line)
        self._line = []
        if not self._preformatted:
            text = re.sub(r"[ \t\xa0]+", " ", text)
        text = text.replace("\xa0", " ").strip("\n") if self._preformatted else text.replace("¶", "").strip()
        if text.strip():
            self.paragraphs.append(text)

    def text(self):
        self._end_paragraph()
        return "\n\n".join(self.paragraphs) + "\n"


def page_text(path):
    parser = PageText()
    with open(path, encoding="utf-8", errors="replace") as file:
        parser.feed(file.read())
    parser.close()
    return parser.text()


def is_held_out(path):
    return hashlib.sha256(path.encode()).digest()[0] % HELD_OUT_SHARE == 0


def pages():
    """Paths of all pages that are installed, in an order without meaning (by hash)."""
    paths = {path for pattern, _ in PACKAGES.values() for path in glob.glob(pattern, recursive=True)
             if os.path.isfile(path) and not os.path.islink(path) and not NOT_PROSE.search(path)}
    return sorted(paths, key=lambda path: hashlib.sha256(("order " + path).encode()).digest())


def build(vocabulary, out):
    """Writes `out` (npz): `train` and `held_out`, uint16 ids, each page closed by the end-of-text token."""
    end = vocabulary.special("<|endoftext|>")
    sides, count = {"train": [], "held_out": []}, {"train": 0, "held_out": 0}
    for path in pages():
        text = page_text(path)
        if len(text) < SHORTEST:
            continue
        side = "held_out" if is_held_out(path) else "train"
        sides[side].append(np.array(vocabulary.encode(text) + [end], dtype=np.uint16))
        count[side] += 1
    if not sides["train"]:
        raise ValueError("no documentation is installed: apt-get install " + " ".join(PACKAGES))
    ids = {side: np.concatenate(parts) for side, parts in sides.items()}
    write_npz(out, **ids)
    for side in ids:
        print(f"{side}: {count[side]} pages, {len(ids[side])} tokens")


def write_npz(path, **arrays):
    """Whole or not at all: a reader never sees half a file."""
    with open(path + ".part", "wb") as file:
        np.savez(file, **arrays)
    os.replace(path + ".part", path)


if __name__ == "__main__":
    from model import GgufModelFile
    from vocabulary import Vocabulary
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="GGUF file whose tokenizer is used")
    parser.add_argument("--out", required=True, help="file to write (.npz)")
    flags = parser.parse_args()
    build(Vocabulary(GgufModelFile(flags.model).metadata), flags.out)
