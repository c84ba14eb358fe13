"""What of a source counts: all that changes what it does, and nothing else."""

import ast
from pathlib import Path

import pytest

from heliostat.spec.code import code_of
from heliostat.spec.comments import without_comments

ROOT = Path(__file__).parents[2]
SOURCE = '''\
# A module.
"""Its docstring  # is a value.

With a blank line."""

import os  # for paths


def answer(  # of it all
    a: int,

    # not b
) -> str:
    text = f"# {a}"  # no comment inside
    return text + """
# kept

"""
'''
PLAIN = '''\
"""Its docstring  # is a value.

With a blank line."""
import os
def answer(
    a: int,
) -> str:
    text = f"# {a}"
    return text + """
# kept

"""
'''


def test_comments_and_blank_lines_go_and_texts_stay():
    assert without_comments(SOURCE.encode()).decode() == PLAIN


@pytest.mark.parametrize(
    "source", [b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", b"#!/bin/python\n# vim: set fileencoding=latin-1 :\nx = '\xe9'\n"]
)
def test_a_comment_that_says_how_to_read_the_file_stays(source: bytes):
    assert b"coding" in without_comments(source)
    assert "é".encode() in without_comments(source)


@pytest.mark.parametrize("source", [b"def (", b"x = '", b"\xff\xfe", b"", b"# coding: klingon\n"])
def test_what_is_no_python_is_taken_as_it_is(source: bytes):
    assert without_comments(source) == source


def test_lines_may_end_as_on_other_machines():
    assert without_comments(b"x = 1  # one\r\n\r\ny = 2\r\n") == b"x = 1\ny = 2\r\n"


@pytest.mark.parametrize("path", sorted((ROOT / "workloads").rglob("*.py")), ids=str)
def test_what_is_left_does_the_same(path: Path):
    source = path.read_bytes()
    assert ast.dump(ast.parse(without_comments(source))) == ast.dump(ast.parse(source))
    assert without_comments(without_comments(source)) == without_comments(source)


def test_a_comment_changes_no_digest_and_a_statement_does(tmp_path: Path):
    (tmp_path / "workloads").mkdir()
    module = tmp_path / "workloads" / "a.py"
    module.write_text("X = 1\n")
    before = code_of(tmp_path, "workloads.a:X").digest
    module.write_text("# what X is\n\nX = 1  # one\n")
    assert code_of(tmp_path, "workloads.a:X").digest == before
    module.write_text("X = 2\n")
    assert code_of(tmp_path, "workloads.a:X").digest != before
