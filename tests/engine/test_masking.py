"""No secret of an operation is told, whoever tells it and however it is written."""

import base64
import json
from urllib.parse import quote

import pytest

from heliostat.engine.events import Diagnostic, Outputs, StepFailed
from heliostat.engine.masking import Lines, Masker
from heliostat.engine.state.snapshot import Secret

KEY = 'hunter2! "ä" it\'s'
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0B\n4Q==\n-----END KEY-----"


def masker(*values):
    found = Masker()
    for value in values:
        found.add(value)
    return found


@pytest.mark.parametrize(
    "written",
    [
        KEY,
        json.dumps({"key": KEY}),
        json.dumps({"key": KEY}, ensure_ascii=False),
        json.dumps(json.dumps(KEY))[3:-3],
        f"ValueError({KEY!r})",
        f"https://user:{quote(KEY)}@host/",
        f"https://user:{quote(KEY, safe='')}@host/",
        base64.b64encode(KEY.encode()).decode(),
        f"before{KEY}after{KEY}",
    ],
)
def test_a_secret_is_found_in_every_form_that_programs_write(written):
    text = masker(KEY).text(written)
    assert "hunter2" not in text
    assert base64.b64encode(b"hunter2")[:8].decode() not in text
    assert "[secret]" in text


def test_secrets_that_overlap_leave_nothing_of_either():
    assert masker("abcdef", "defghi", "abcdefgh").text("x abcdefghi y") == "x [secret] y"


def test_a_number_is_a_secret_where_it_stands_alone_only():
    assert masker(4711).text("pin 4711, order 147115, v4711") == "pin [secret], order 147115, v4711"


def test_what_is_inside_objects_is_secret_and_what_says_nothing_is_not():
    text = masker({"user": "grace", "on": True, "flag": "true", "no": None, "deep": [{"pw": "sesame"}]}, "ab")
    assert text.text("grace sesame true True None ab") == "[secret] [secret] true True None ab"


def test_a_text_without_secrets_is_the_same_object():
    text = "nothing in here"
    assert masker(KEY).text(text) is text
    assert Masker().text(text) is text


def test_many_secrets_are_found_as_few_are():
    many = masker(*(f"{number:05d}-secret" for number in range(3000)))
    assert many.text("x 00017-secret 02999-secret 03000-secret") == "x [secret] [secret] 03000-secret"


async def test_a_secret_of_several_lines_is_masked_where_it_comes_line_by_line():
    told = []
    lines = Lines(masker(PEM), told.append)
    for line in ["start", *PEM.split("\n"), "4Q==", "end"]:
        lines(line)
    lines.flush()
    assert told == ["start", "[secret]", "4Q==", "end"]


async def test_the_beginning_of_a_secret_that_does_not_go_on_is_told_when_the_stream_is_over():
    told = []
    lines = Lines(masker("one\ntwo words\nthree"), told.append)
    lines("one")
    assert told == []
    lines.flush()
    assert told == ["one"]


# --- in an operation

LEAKS = """
    import sys, json, os
    key = pulumi.Config().require("key")
    print("printed", key)
    print(json.dumps({"key": key}), file=sys.stderr)
    sys.stdout.write(key[:4]); sys.stdout.flush(); sys.stdout.write(key[4:] + chr(10))
    print(pulumi.Config().require("pem"))
    pulumi.log.warn(f"logged {key}")
    pulumi.export("plain", f"with {key} inside")
    pulumi.export("listed", [{"key": key}])
"""


def everything(lab):
    return repr(lab.events)


async def test_secrets_of_the_config_are_masked_in_all_that_is_told(lab):
    lab.config, lab.secret = {"lab:key": KEY, "lab:pem": PEM}, ("lab:key", "lab:pem")
    assert (await lab.up(LEAKS)).succeeded
    said = lab.said("info") + lab.said("warning")
    assert said.count("[secret]") == 5
    assert "hunt" not in everything(lab)
    assert "MIIE" not in everything(lab)
    assert "4Q==" not in everything(lab)


async def test_what_is_exported_of_a_secret_is_a_secret_in_the_state(lab):
    lab.config, lab.secret = {"lab:key": KEY, "lab:pem": PEM}, ("lab:key", "lab:pem")
    await lab.up(LEAKS)
    stack = next(r for r in lab.checkpoint.snapshot.resources if r.type == "pulumi:pulumi:Stack")
    assert stack.outputs == {"plain": Secret(f"with {KEY} inside"), "listed": [{"key": Secret(KEY)}]}
    await lab.up(LEAKS)
    told = next(e for e in lab.events if isinstance(e, Outputs))
    assert told.old == told.new


async def test_a_traceback_shows_no_secret(lab):
    lab.config, lab.secret = {"lab:key": KEY}, ("lab:key",)
    assert not (await lab.up('raise ValueError(pulumi.Config().require("key"))')).succeeded
    assert "ValueError: [secret]" in lab.said("error")
    assert "hunter2" not in everything(lab)


async def test_a_secret_input_is_masked_in_what_a_provider_says_of_it(lab):
    program = 'Lab(pulumi.Config().get("name") or "a", pw=pulumi.Output.secret("opensesame"), complain="opensesame is wrong")'
    assert not (await lab.up(program)).succeeded
    assert "[secret] is wrong" in lab.said("error")
    assert "opensesame" not in repr([e for e in lab.events if isinstance(e, Diagnostic | StepFailed)])


async def test_a_secret_output_is_masked_in_what_the_program_says_later(lab):
    program = """
        a = Lab("a", secret_out=True)
        a.tokens.apply(lambda tokens: print("got", tokens))
    """
    assert (await lab.up(program)).succeeded
    assert "got [{'token': '[secret]'}]" in lab.said("info")


async def test_a_secret_that_only_the_state_holds_is_masked_too(lab):
    await lab.up('Lab("a", pw=pulumi.Output.secret("opensesame"))')
    await lab.up('print("opensesame"); pulumi.export("none", 1)')
    assert "[secret]" in lab.said("info")
    assert "opensesame" not in lab.said("info")
