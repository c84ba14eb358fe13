"""Python's source without what means nothing to whoever runs it: comments, and lines with nothing else. Pure.

The digest of code is taken of this, so that a comment trains nothing anew. Docstrings are values, and stay. What comes out is
the same with every release of Python, which a syntax tree or a list of tokens would not be.
"""

from __future__ import annotations

import io
import re
import tokenize
from functools import cache
from typing import Final

_CODING: Final = re.compile(r"^[ \t\f]*#.*?coding[:=]")


@cache
def without_comments(source: bytes) -> bytes:
    """The source as UTF-8 without comments and without the lines that they leave empty, or that were.

    What cannot be read as Python comes back as it is.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        lines = list(io.StringIO(source.decode(encoding), newline=""))
        comments, ends = _comments_and_ends(lines)
    except (SyntaxError, tokenize.TokenError, UnicodeDecodeError, LookupError):
        return source
    kept = []
    for number, line in enumerate(lines, start=1):
        if number in comments:
            line = f"{line[: comments[number]].rstrip()}\n"
        if line.strip() or number not in ends:
            kept.append(line)
    return "".join(kept).encode()


def _comments_and_ends(lines: list[str]) -> tuple[dict[int, int], set[int]]:
    """The column of the comment in each line that has one, and the lines that end without ending a statement: those that are
    blank in a text in quotes are none of them."""
    comments: dict[int, int] = {}
    ends: set[int] = set()
    for token in tokenize.generate_tokens(iter(lines).__next__):
        row, column = token.start
        if token.type == tokenize.COMMENT and not (row <= 2 and _CODING.match(lines[row - 1])):
            comments[row] = column
        elif token.type == tokenize.NL:
            ends.add(row)
    return comments, ends
