"""What cannot be noted of an operation's beginning does not keep it from being done, and is told."""

import json

import pytest

from heliostat.cli import operate
from heliostat.engine.events import Summary
from heliostat.engine.stackerrors import StorageError
from heliostat.engine.state import history


class Engine:
    succeeds = True

    async def run(self, kind, target, options, sink, snapshots, stacks, cancel):
        return Summary(self.succeeds, {}, 1.0)


@pytest.fixture
def engine(monkeypatch):
    made = Engine()
    monkeypatch.setattr(operate, "run", made.run)
    return made


def kept(stack):
    return [each["result"] for each in json.loads(stack.ok("stack", "history", "--json"))]


def test_a_beginning_that_cannot_be_written_is_told_and_the_end_is_written(stack, engine, monkeypatch):
    def full(*_):
        raise StorageError("the disk is full")

    monkeypatch.setattr(history, "begin", full)
    ran = stack("up", "--yes", "--skip-preview")
    assert (ran.code, kept(stack)) == (0, ["succeeded"])
    assert "does not say that this update has begun: the disk is full" in ran.err


def test_an_entry_of_a_killed_operation_that_is_damaged_is_told_and_holds_up_nothing(stack, engine):
    folder = stack.state / ".pulumi/history/demo/dev"
    folder.mkdir(parents=True)
    (folder / "dev-1.history.json").write_text("{")
    ran = stack("up", "--yes", "--skip-preview")
    assert ran.code == 0 and "dev-1.history.json is damaged" in ran.err
    (folder / "dev-1.history.json").unlink()
    assert kept(stack) == ["succeeded"]


@pytest.mark.parametrize("command", ["up", "refresh", "destroy"])
def test_each_operation_has_one_entry_whether_it_ends_well_or_not(stack, engine, command):
    stack.ok(command, "--yes", "--skip-preview")
    engine.succeeds = False
    stack(command, "--yes", "--skip-preview")
    assert kept(stack) == ["failed", "succeeded"]
    assert len(list((stack.state / ".pulumi/history/demo/dev").glob("*.checkpoint.json"))) == 2


def test_a_preview_has_none(stack, engine):
    stack.ok("preview")
    assert kept(stack) == []
