"""IPython's own lines."""

import ast

import pytest

from heliostat.convert import magics

pytest.importorskip("IPython", reason="magics need the extra convert: ipython")


def read(line):
    return magics.read(ast.parse(magics.transformed(line)).body[0])


@pytest.mark.parametrize("line", ["%pip install -q lightgbm 'pandas>=2'", "!pip install lightgbm 'pandas>=2'"])
def test_installed_packages_are_requirements(line):
    assert read(line).requirements == ["lightgbm", "pandas>=2"]


def test_a_list_of_requirements_in_a_file_is_asked_for():
    assert read("%pip install -r requirements.txt").is_open


def test_what_only_shows_is_left_out_and_said():
    assert not read("%matplotlib inline").is_open
    assert not read("frame?").is_open


@pytest.mark.parametrize("line", ["!wget data.csv", "files = !ls", "%run other.py", "%%bash\nls"])
def test_what_may_make_something_is_asked_for(line):
    assert read(line).is_open


def test_the_cell_in_a_wrapper_stays():
    assert read("%%time\nx = 1\n").body == "x = 1\n"


def test_python_is_left_alone():
    assert magics.transformed("x = 1 % 2\n") == "x = 1 % 2\n"
    assert read("x = 1") is None
