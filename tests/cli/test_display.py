import io
import json

import pytest
from rich.console import Console

from heliostat.cli.display import messages
from heliostat.cli.display.board import Board, Status
from heliostat.cli.display.digest import DigestDisplay
from heliostat.cli.display.live import LiveDisplay, cut, cut_front, fit, short
from heliostat.cli.display.plain import PlainDisplay
from heliostat.cli.display.report import Look
from heliostat.engine.events import (
    Diagnostic,
    GoingOn,
    Op,
    Outputs,
    PropertyChange,
    StepFailed,
    StepLeft,
    StepStarted,
    StepSucceeded,
    Summary,
)
from heliostat.engine.masking import Masker
from heliostat.engine.state.snapshot import UNKNOWN, Resource, Secret

ROOT = "urn:pulumi:dev::p::pulumi:pulumi:Stack::p-dev"
CHANGES = (
    PropertyChange("replicas", 2, 3),
    PropertyChange("gate.margin", None, 0.1),
    PropertyChange("old", "x", None),
    PropertyChange("token", Secret("geheim"), Secret("geheimer"), replaces=True),
)


def urn(name, type_="t:i:Thing"):
    return f"urn:pulumi:dev::p::{type_}::{name}"


def console(width=100, height=12):
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=False, highlight=False, color_system=None)


def shown(display):
    return display.console.file.getvalue()


UPDATE = [
    StepStarted(ROOT, Op.SAME),
    StepStarted(urn("same"), Op.SAME, parent=ROOT),
    StepSucceeded(urn("same"), Op.SAME, 0.0),
    StepStarted(urn("made"), Op.CREATE, parent=ROOT),
    StepStarted(urn("changed"), Op.UPDATE, CHANGES[:2], parent=ROOT),
    Diagnostic("info", "epoch 3 of 9", urn("made"), ephemeral=True),
    Diagnostic("warning", "port 80 was taken", urn("changed")),
    StepSucceeded(urn("made"), Op.CREATE, 1.25, {"port": 80}),
    StepSucceeded(urn("changed"), Op.UPDATE, 62.0),
    Diagnostic("error", "the model is worse by 0.03\nAUC 0.70 < 0.73", urn("failed")),
    StepStarted(urn("failed"), Op.CREATE, parent=ROOT),
    StepFailed(urn("failed"), Op.CREATE, 0.5, "the model is worse"),
    Outputs({"gone": 1, "kept": 2, "new": 0}, {"kept": 2, "new": 1, "token": Secret("geheim")}),
]
RESULT = Summary(succeeded=False, changes={Op.CREATE: 1, Op.UPDATE: 1, Op.SAME: 2}, seconds=65.0)


def played(display, events, result, title="Updating (dev):"):
    display.start(title)
    for event in events:
        display(event)
    display.tick()
    display.stop(result)
    return shown(display)


def test_a_pipe_gets_one_line_an_event_and_none_for_what_stays():
    text = played(PlainDisplay(console(), Look(preview=False)), UPDATE, RESULT)
    assert text.split("\nDiagnostics:")[0].splitlines() == [
        "Updating (dev):",
        " + t:i:Thing made creating",
        " ~ t:i:Thing changed updating [diff: replicas, gate.margin]",
        "   t:i:Thing made: epoch 3 of 9",
        " + t:i:Thing made created (1.2s)",
        " ~ t:i:Thing changed updated (1m02s)",
        " + t:i:Thing failed creating",
        " + t:i:Thing failed creating failed (0.5s)",
    ]


@pytest.mark.parametrize("kind", [PlainDisplay, LiveDisplay])
def test_the_end_has_diagnostics_by_resource_outputs_and_a_summary(kind):
    text = played(kind(console(), Look(preview=False)), UPDATE, RESULT)
    end = text[text.index("Diagnostics:") :]
    assert "  t:i:Thing failed:\n    error: the model is worse by 0.03\n    AUC 0.70 < 0.73\n" in end
    assert "  ~ new   : 0 => 1\n" in end
    assert "  + token : [secret]\n" in end
    assert "  - gone  : 1\n" in end
    assert "    kept  : 2\n" in end
    assert "    + 1 created, ~ 1 updated, = 2 unchanged\n    1 failed\n" in end
    assert "Duration: 1m05s" in end
    assert "geheim" not in text


@pytest.mark.parametrize("kind", [PlainDisplay, LiveDisplay])
def test_a_warning_and_an_error_are_shown_once_and_also_where_the_operation_breaks_off(kind):
    twice = [*UPDATE, *(event for event in UPDATE if isinstance(event, Diagnostic))]
    for events, result in ((UPDATE, RESULT), (twice, RESULT), (UPDATE, None)):
        text = played(kind(console(), Look(preview=False)), events, result)
        assert text.count("the model is worse by 0.03") == 1
        assert text.count("AUC 0.70 < 0.73") == 1
        assert text.count("port 80 was taken") == (2 if events is twice else 1), "a warning may well come twice"


def test_secrets_are_shown_only_on_demand():
    look = Look(preview=False, show_secrets=True, diff=True)
    text = played(PlainDisplay(console(), look), [StepStarted(urn("a"), Op.REPLACE, CHANGES)], RESULT)
    assert '~ token: "geheim" => "geheimer"  (forces replacement)' in text


def test_a_diff_lists_every_property_that_differs():
    display = LiveDisplay(console(), Look(preview=True, diff=True))
    text = played(display, [StepStarted(urn("a"), Op.REPLACE, CHANGES)], RESULT)
    assert [line.strip() for line in text.splitlines() if line.startswith("       ")] == [
        "~ replicas: 2 => 3",
        "+ gate.margin: 0.1",
        '- old: "x"',
        "~ token: [secret] => [secret] (changed)  (forces replacement)",
    ]


def test_the_final_tree_of_a_terminal_leaves_out_what_is_unchanged():
    text = played(LiveDisplay(console(), Look(preview=False)), UPDATE, RESULT)
    tree = text[text.index("Updating") : text.index("Diagnostics")]
    assert " +    t:i:Thing         made     created (1.2s)\n" in tree
    assert " +    t:i:Thing         failed   creating failed (0.5s)\n" in tree
    assert "same" not in tree.replace("p-dev", "")
    everything = played(LiveDisplay(console(), Look(preview=False, show_sames=True)), UPDATE, RESULT)
    assert "      t:i:Thing         same\n" in everything


def test_progress_stands_beside_its_resource_until_it_ends():
    board = Board(preview=False)
    for event in UPDATE[:6]:
        board.apply(event)
    assert board.rows[urn("made")].note == "epoch 3 of 9"
    board.apply(UPDATE[7])
    assert board.rows[urn("made")].note == ""
    assert board.diagnostics == []


def test_what_goes_on_is_shown_as_such_and_is_none_of_what_was_done_or_failed():
    display = LiveDisplay(console(), Look(preview=False))
    for event in (StepStarted(urn("a"), Op.CREATE), StepLeft(urn("a"), Op.CREATE, 60.0, "it goes on as job a-1")):
        display(event)
    assert display.board.rows[urn("a")].status is Status.LEFT
    assert display.board.counts() == {}
    display.stop(Summary(False, {}, 60.0, going=(GoingOn(urn("a"), "it goes on as job a-1"),)))
    assert " + t:i:Thing  a  goes on by itself\n" in shown(display)
    assert "    1 goes on\n      t:i:Thing a: it goes on as job a-1\n" in shown(display)
    assert "failed" not in shown(display) and "interrupted" not in shown(display)


def test_both_halves_of_a_replacement_are_one_row():
    board = Board(preview=False)
    for op in (Op.CREATE_REPLACEMENT, Op.DELETE_REPLACED):
        board.apply(StepStarted(urn("a"), op, CHANGES[:1]))
        assert board.rows[urn("a")].phase is op
        board.apply(StepSucceeded(urn("a"), op, 1.0))
    row = board.rows[urn("a")]
    assert (row.op, row.status, row.seconds, row.changes) == (Op.REPLACE, Status.DONE, 2.0, CHANGES[:1])
    assert board.counts() == {Op.REPLACE: 1}


def test_a_refresh_shows_what_it_found():
    board = Board(preview=False)
    board.apply(StepStarted(urn("a"), Op.REFRESH))
    board.apply(StepSucceeded(urn("a"), Op.UPDATE, 0.1, changes=CHANGES[:1]))
    board.apply(StepStarted(urn("b"), Op.REFRESH))
    board.apply(StepSucceeded(urn("b"), Op.SAME, 0.1))
    assert board.counts() == {Op.UPDATE: 1, Op.SAME: 1}


DIED = [StepStarted(urn("dead"), Op.REFRESH), StepSucceeded(urn("dead"), Op.DELETE, 0.1)]


def test_what_a_refresh_does_not_find_is_gone_and_nobody_deleted_it():
    result = Summary(succeeded=True, changes={Op.DELETE: 1, Op.SAME: 1}, seconds=1.0)
    alive = [StepStarted(urn("alive"), Op.REFRESH), StepSucceeded(urn("alive"), Op.SAME, 0.1)]
    for display in (PlainDisplay(console(), Look(False, diff=True)), LiveDisplay(console(), Look(False, diff=True))):
        played(display, [*DIED, *alive], result)
        text = shown(display)
        assert "delet" not in text, text
        assert " x t:i:Thing dead: (gone)" in text
        assert "x 1 gone, = 1 unchanged" in text


@pytest.mark.parametrize("preview", [True, False])
def test_an_update_tells_what_died_before_it_makes_it_anew(preview):
    display = PlainDisplay(console(), Look(preview))
    made = [StepStarted(urn("dead"), Op.CREATE), *([] if preview else [StepSucceeded(urn("dead"), Op.CREATE, 2.0)])]
    played(display, [*DIED, *made], Summary(succeeded=True, changes={Op.CREATE: 1}, seconds=3.0))
    text = shown(display)
    assert "delet" not in text, text
    assert " x t:i:Thing dead gone (0.1s)\n + t:i:Thing dead creat" in text
    assert f"+ 1 {'to create' if preview else 'created'}\n" in text


def test_what_an_update_deletes_is_deleted_beside_what_died():
    display = PlainDisplay(console(), Look(False))
    left = [StepStarted(urn("left"), Op.DELETE), StepSucceeded(urn("left"), Op.DELETE, 0.2)]
    played(display, [*DIED, *left], Summary(succeeded=True, changes={Op.DELETE: 1}, seconds=3.0))
    assert " - t:i:Thing left deleted (0.2s)" in shown(display)
    assert "- 1 deleted\n" in shown(display)
    assert "1 gone" not in shown(display)


def test_thousands_of_resources_fit_the_screen_with_the_failed_and_running_ones_first():
    board = Board(preview=False)
    board.apply(StepStarted(ROOT, Op.SAME))
    for number in range(3000):
        board.apply(StepStarted(urn(str(number)), Op.CREATE, parent=ROOT))
        if number == 7:
            board.apply(StepFailed(urn("7"), Op.CREATE, 1.0, "no"))
        elif number % 1000 != 500:
            board.apply(StepSucceeded(urn(str(number)), Op.CREATE, 0.0))
    rows, more = board.visible(10, sames=False)
    names = [row.name for _, row in rows]
    assert len(rows) == 10
    assert {"p-dev", "7", "500", "1500", "2500"} <= set(names)
    assert rows[0] == (0, board.rows[ROOT])
    assert all(depth == 1 for depth, _ in rows[1:])
    assert more == 3000 - 9


def test_a_live_picture_is_never_higher_than_the_terminal():
    display = LiveDisplay(console(height=12), Look(preview=False))
    for number in range(500):
        display(StepStarted(urn(f"n{number}"), Op.CREATE, parent=ROOT))
    with display.console.capture() as captured:
        display.console.print(display._picture())
    lines = captured.get().splitlines()
    assert len(lines) <= 12
    assert "500 running" in lines[-1]
    assert "more not shown" in lines[-1]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width):
    display = LiveDisplay(console(width=width), Look(preview=False))
    long = urn("a-rather-long-name-for-a-resource" * 2, "heliostat:index:Application")
    display(StepStarted(long, Op.CREATE_REPLACEMENT, CHANGES))
    with display.console.capture() as captured:
        display.console.print(display._picture())
    assert max(map(len, captured.get().splitlines())) <= width


def test_the_type_is_cut_before_the_name_and_the_status_last():
    assert fit([40, 30, 20], 200) == [40, 30, 20]
    assert fit([40, 30, 20], 76) == [20, 30, 20]
    assert fit([40, 30, 20], 60) == [16, 18, 20]
    assert cut("abcdef", 4) == "abc…"
    assert cut("abc", 0) == ""


def test_a_type_that_is_cut_keeps_its_indentation_and_its_end():
    assert short("kubernetes:core/v1:Secret") == "Secret"
    assert cut_front("   ServiceAccount", 20) == "   ServiceAccount"
    assert cut_front("   ServiceAccount", 12) == "   …eAccount"
    assert cut_front("      Secret", 7) == "      …"


def test_the_tally_counts_a_replacement_once_and_says_so_when_nothing_happens():
    assert messages.tally({Op.SAME: 3}, preview=False) == "= 3 unchanged"
    assert messages.tally({}, preview=True) == "= 0 unchanged"
    assert messages.tally({Op.CREATE_REPLACEMENT: 2, Op.DELETE_REPLACED: 2}, preview=True) == "+- 2 to replace"
    mixed = messages.tally({Op.REPLACE: 1, Op.CREATE: 2, Op.DELETE: 1}, preview=True)
    assert mixed == "+ 2 to create, +- 1 to replace, - 1 to delete"


def test_unknown_and_long_values_are_readable():
    assert messages.text_of(UNKNOWN, show_secrets=False) == "[unknown]"
    assert messages.text_of({"a": [Secret(1), UNKNOWN]}, show_secrets=False) == '{"a": ["[secret]", "[unknown]"]}'
    assert messages.text_of("x" * 1000, show_secrets=False).endswith("… (1002 characters)")


def test_the_digest_has_the_clis_shape_and_no_secret():
    written = []
    inputs = {"token": Secret("geheim"), "url": "https://geheim@host"}
    old = Resource(
        urn("a"), "t:i:Thing", custom=True, inputs=inputs, provider="urn:prov::1", replacement_trigger=Secret("geheim")
    )
    masker = Masker()
    masker.add("geheim")
    display = DigestDisplay(written.append, {old.urn: old}, {"p:a": "1", "p:s": "[secret]"}, masker, preview=True)
    events = [
        StepStarted(urn("a"), Op.UPDATE, CHANGES),
        Diagnostic("debug", "hidden"),
        Diagnostic("warning", "careful", urn("a")),
        Diagnostic("info", "progress", urn("a"), ephemeral=True),
        Outputs({}, {"token": Secret("geheim")}),
    ]
    display.start("Previewing update (dev):")
    for event in events:
        display(event)
    display.stop(Summary(succeeded=True, changes={Op.UPDATE: 1, Op.SAME: 2}, seconds=1.5))
    (text,) = written
    assert "geheim" not in text
    said = json.loads(text)
    (step,) = said["steps"]
    assert (step["op"], step["urn"], step["provider"]) == ("update", urn("a"), "urn:prov::1")
    assert step["oldState"]["inputs"] == {"token": "[secret]", "url": "https://[secret]@host"}
    assert step["diffReasons"] == ["gate", "old", "replicas", "token"]
    assert step["replaceReasons"] == ["token"]
    assert step["detailedDiff"]["token"] == {"kind": "update-replace", "inputDiff": True}
    assert step["detailedDiff"]["gate.margin"]["kind"] == "add"
    assert step["detailedDiff"]["old"]["kind"] == "delete"
    assert said["diagnostics"] == [{"urn": urn("a"), "message": "careful", "severity": "warning"}]
    assert said["changeSummary"] == {"update": 1, "same": 2}
    assert said["duration"] == 1_500_000_000
    assert said["config"] == {"p:a": "1", "p:s": "[secret]"}


def test_times_are_short_to_read():
    assert [messages.duration(s) for s in (0.04, 3.21, 9.99, 59.4, 61, 3700)] == [
        "0.0s",
        "3.2s",
        "10s",
        "59s",
        "1m01s",
        "1h01m",
    ]
