"""One value of a YAML text is changed, and no other byte of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml.error import YAMLError

from heliostat.engine.config.yamledit import EditError, _Text, drop, load, position, put

TEXT = """\
# head
# more of it

encryptionsalt:  v1:a=:b   # odd blanks


config:   # all of it
    demo:plain: one  # why
    'quoted': 'it''s'   # single
    "double": "a\\tb"
    demo:empty:
    demo:null: ~
    demo:token:
        # how it came
        secure: v1:n:m   # encrypted
    demo:list:
    - first     # kept
    -   name: second
        sizes: [ 1,2 , 3 ]   # loose
    -
    - - deep
      - er
    demo:flow: { a: 1, "b": [x, y], c: {} }
    demo:block: |  # text
      one
        two

    demo:folded: >-
      a
      b
    demo:long: a text
      over two lines

    # the last
    demo:last: 0x1F
# the end
"""

PATHS = [
    ("encryptionsalt",),
    ("config", "demo:plain"),
    ("config", "quoted"),
    ("config", "double"),
    ("config", "demo:empty"),
    ("config", "demo:null"),
    ("config", "demo:token"),
    ("config", "demo:token", "secure"),
    ("config", "demo:list"),
    ("config", "demo:list", 0),
    ("config", "demo:list", 1),
    ("config", "demo:list", 1, "name"),
    ("config", "demo:list", 1, "sizes"),
    ("config", "demo:list", 1, "sizes", 0),
    ("config", "demo:list", 1, "sizes", 2),
    ("config", "demo:list", 2),
    ("config", "demo:list", 3),
    ("config", "demo:list", 3, 0),
    ("config", "demo:list", 3, 1),
    ("config", "demo:flow"),
    ("config", "demo:flow", "a"),
    ("config", "demo:flow", "b", 1),
    ("config", "demo:flow", "c"),
    ("config", "demo:block"),
    ("config", "demo:folded"),
    ("config", "demo:long"),
    ("config", "demo:last"),
]
NEW = [
    ("config", "new"),
    ("config", "demo:token", "new"),
    ("config", "demo:list", 4),
    ("config", "demo:list", 1, "new"),
    ("config", "demo:list", 1, "sizes", 3),
    ("config", "demo:list", 3, 2),
    ("config", "demo:flow", "new"),
    ("config", "demo:flow", "b", 2),
    ("config", "demo:flow", "c", "new"),
    ("new",),
]
SCALARS = ["two", "", "it's", "1", "yes", "a: b # c", "- x", "two\nlines\n", "\x1b ü 🦊", 7, 1.5, 1e22, True, None]
VALUES = ["it's", {"secure": "v1:x=:y"}, {"a": {"b": [1, {"c": "d", "e": []}]}}, ["x", ["y"], {"z": 1}], {}]


def at(data, path):
    for step in path:
        data = data[step]
    return data


INSIDE = {"# how it came", "# text", "# encrypted", "# kept", "# loose"}
"""Comments inside of values, which go with them."""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("path", PATHS + NEW, ids=str)
def test_every_value_can_stand_everywhere_and_nothing_else_changes(path, newline):
    text = TEXT.replace("\n", newline)
    way, _ = _Text(text).find(path)
    for value in VALUES if newline == "\n" else VALUES[1:2]:
        after = put(text, path, value)
        assert repr(at(load(after), path)) == repr(value)
        assert after.startswith(text[: way[-1].start if way else 0])
        assert after.endswith(text[way[-1].end if way else len(text) :].partition("\n")[2])
        if newline == "\r\n":
            assert "\n" not in after.replace("\r\n", "")
        lost = [line.partition("#")[2] for line in TEXT.split("\n") if "#" in line and line.partition("#")[2] not in after]
        assert {f"#{one}" for one in lost} <= INSIDE


@pytest.mark.parametrize("path", NEW, ids=str)
def test_what_is_added_and_taken_away_again_leaves_the_same_bytes(path):
    for value in VALUES:
        if path[-2:] != ("c", "new"):
            assert drop(put(TEXT, path, value), path) == TEXT


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_everything_can_be_taken_away(path):
    after = drop(TEXT, path)
    gone = [line for line in TEXT.split("\n") if line not in after.split("\n")]
    assert not [line for line in gone if line.strip().startswith("#") and "how it came" not in line]
    whole = load(TEXT)
    holder = at(whole, path[:-1])
    del holder[path[-1]]
    assert repr(load(after)) == repr(whole)


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        ("a: 1 # x\n", ("a",), "2", "a: '2' # x\n"),
        ('a: "1" # x\n', ("a",), "2", 'a: "2" # x\n'),
        ("a: '1'\n", ("a",), "x", "a: 'x'\n"),
        ("a:\n  secure: v1:o\nb: 1\n", ("a",), {"secure": "v1:n"}, "a:\n  secure: v1:n\nb: 1\n"),
        ("a: 1 # x\nb: 1", ("a",), {"secure": "v1:n"}, "a: # x\n  secure: v1:n\nb: 1"),
        ("a: # x\n  secure: v1:o\nb: 1\n", ("a",), "t", "a: t # x\nb: 1\n"),
        ("a: {}\n", ("a", "b", 0), 1, "a:\n  b:\n    - 1\n"),
        ("", ("a",), "x", "a: x\n"),
        ("{}\n", ("a",), "x", "a: x\n"),
        ("# c", ("a", "b"), "x", "# c\na:\n  b: x\n"),
        ("a: 1", ("b",), "x", "a: 1\nb: x"),
        ("a:\n    b:\n        c: 1\n", ("a", "d", "e"), 1, "a:\n    b:\n        c: 1\n    d:\n        e: 1\n"),
        ("---\na: &x 1\nb: *x\n", ("b",), 2, "---\na: &x 1\nb: 2\n"),
        ("\ufeffa: 1\n", ("a",), 2, "\ufeffa: 2\n"),
    ],
)
def test_it_is_written_as_what_stands_there(before, path, value, after):
    assert put(before, path, value) == after


@pytest.mark.parametrize(
    ("text", "path"),
    [("a: &x 1\nb: *x\n", ("a",)), ("? [a]\n: 1\nb: 2\n", ("b",)), ("a: 1\n---\nb: 2\n", ("a",)), ("{a, b: 1}\n", ("b",))],
)
def test_what_cannot_be_changed_in_place_is_refused(text, path):
    with pytest.raises((EditError, YAMLError)):
        put(text, path, 3)


@pytest.mark.parametrize("value", SCALARS, ids=repr)
def test_every_kind_of_scalar_comes_back_as_it_was_and_is_on_one_line(value):
    after = put(TEXT, ("config", "demo:plain"), value)
    assert repr(load(after)["config"]["demo:plain"]) == repr(value)
    assert after.count("\n") == TEXT.count("\n")


@settings(max_examples=20, deadline=None)
@given(st.text())
def test_any_text_comes_back_as_it_was(value):
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        return
    assert load(put(TEXT, ("config", "demo:plain"), value))["config"]["demo:plain"] == value


def test_every_mistake_has_a_place():
    assert position(TEXT, ("config", "demo:list", 1, "sizes", 1)) == (19, 20)
    assert position(TEXT, ("config", "demo:list", 1)) == (18, 5)
    assert position(TEXT, ("config", "demo:flow", "zz")) == (23, 5), "what is missing stands where its holder does"
    assert position(TEXT, ("nothing",)) is None
    assert position("a: [", ("a",)) is None
