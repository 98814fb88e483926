#!/usr/bin/env python3
"""Writes common/tokenizer/new_characters_table.h: the letters, digits and marks that are newer than PCRE2's Unicode.

Debian 12's PCRE2 knows Unicode 14, as Python 3.11's own unicodedata does; the tokenizers of models know Unicode 16.
From the repository's root:

    python3.11 -m venv /tmp/characters
    /tmp/characters/bin/pip install unicodedata2==16.0.0
    /tmp/characters/bin/python tools/make_new_characters.py

Each line has the first and the last character of a range of one general category, and the nearest older character
before it that has the same category and as many bytes in UTF-8.
"""

import pathlib
import sys
import unicodedata

import unicodedata2

OUT = pathlib.Path("common/tokenizer/new_characters_table.h")
HEAD = """\
// Made by tools/make_new_characters.py: characters of Unicode {new} that Unicode {old} does not have.
#ifndef KEDGE_COMMON_TOKENIZER_NEW_CHARACTERS_TABLE_H_
#define KEDGE_COMMON_TOKENIZER_NEW_CHARACTERS_TABLE_H_

namespace kedge {{

struct NewCharacters {{
  char32_t first, last, stand_in;
}};

// clang-format off
inline constexpr NewCharacters kNewCharacters[] = {{
"""
TAIL = """\
};
// clang-format on

}  // namespace kedge

#endif  // KEDGE_COMMON_TOKENIZER_NEW_CHARACTERS_TABLE_H_
"""


def size(code_point):
    return len(chr(code_point).encode("utf-8", "surrogatepass"))


def find_ranges():
    latest = {}  # by category and size: the last character that is not new
    ranges = []
    for code_point in range(sys.maxunicode + 1):
        old, new = unicodedata.category(chr(code_point)), unicodedata2.category(chr(code_point))
        if old != "Cn":
            latest[old, size(code_point)] = code_point
        elif new[0] in "LNM":
            stand_in = latest[new, size(code_point)]
            if ranges and ranges[-1][1] == code_point - 1 and ranges[-1][2] == stand_in:
                ranges[-1][1] = code_point
            else:
                ranges.append([code_point, code_point, stand_in])
    return ranges


def main():
    assert unicodedata.unidata_version.startswith("14.") and unicodedata2.unidata_version.startswith("16.")
    lines = [f"    {{0x{first:04X}, 0x{last:04X}, 0x{stand_in:04X}}},\n" for first, last, stand_in in find_ranges()]
    head = HEAD.format(new=unicodedata2.unidata_version, old=unicodedata.unidata_version)
    OUT.write_text(head + "".join(lines) + TAIL)


if __name__ == "__main__":
    main()
