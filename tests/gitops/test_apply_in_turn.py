"""Of two merges the later one stays, also where it is applied while the earlier one waits for the stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from repository_of import Repository

from heliostat.cli import left_work
from heliostat.cli.main import run
from heliostat.engine.state import history
from heliostat.engine.state.backend import Backend, StackRef
from heliostat.engine.state.history import Entry
from heliostat.gitops.commands import CommandLine
from heliostat.gitops.plan_comment import PlanReport, StackPlan
from heliostat.gitops.pull_requests import keep, plan_file

PROD = StackRef("heliostat", "prod")


class Delivery:
    """A stack whose state is there, a plan of the commit that is checked out, and a later commit."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.repository = Repository(folder / "repository")
        self.monkeypatch = monkeypatch
        self.planned = self.head
        self.repository.replace("README.md", "A repository", "Another")
        self.repository.commit()
        self.later = self.head
        self.repository.git("checkout", "-q", "--detach", self.planned)
        (folder / "state").mkdir()
        self.backend = Backend.open(f"file://{folder}/state")
        self.backend.create(PROD, None)
        self.artefact = folder / "artefact"
        keep(PlanReport(self.planned, (StackPlan("prod", {"result": "succeeded"}),), artefact="a"), self.artefact)
        plan_file(self.artefact, "prod").write_text("{}")
        self.applied: list[str] = []
        for name, value in {"HELIOSTAT_ENGINE": "embedded", "PULUMI_BACKEND_URL": f"file://{folder}/state"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(self.repository.root)
        monkeypatch.setattr(CommandLine, "apply", self._apply)

    @property
    def head(self) -> str:
        return self.repository.git("rev-parse", "HEAD").strip()

    def _apply(self, stack: str, plan: Path, flags: Sequence[str]) -> None:
        self.applied.append(stack)

    def was_brought_to(self, commit: str, targets: Sequence[str] = ()) -> None:
        environment = {"git.head": commit, "git.dirty": "false", **history.told("ada", targets)}
        history.add(self.backend, PROD, Entry("update", 1, 2, "succeeded", {}, environment=environment))

    def apply(self, meanwhile: Callable[[], None] = lambda: None) -> int:
        """`ci apply`; what somebody else does while it waits for the stack."""
        self.monkeypatch.setattr(left_work, "wait_for_holder", lambda stack, seconds: meanwhile())
        return run(["ci", "apply", "prod", "--in", str(self.artefact)])


@pytest.fixture
def delivery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    return Delivery(tmp_path, monkeypatch)


def test_what_was_planned_is_applied_over_what_came_before_it(delivery: Delivery):
    delivery.was_brought_to(delivery.planned)
    assert (delivery.apply(), delivery.applied) == (0, ["prod"])


def test_a_later_commit_that_is_applied_meanwhile_stays(delivery: Delivery, capsys: pytest.CaptureFixture[str]):
    delivery.was_brought_to(delivery.planned)
    assert delivery.apply(lambda: delivery.was_brought_to(delivery.later)) == 1
    assert delivery.applied == [] and "which comes after" in capsys.readouterr().err


def test_so_does_one_of_which_a_few_resources_are_applied(delivery: Delivery, capsys: pytest.CaptureFixture[str]):
    delivery.was_brought_to(delivery.planned)
    delivery.was_brought_to(delivery.later, ["urn:a"])
    assert delivery.apply() == 1
    assert delivery.applied == [] and "which comes after" in capsys.readouterr().err


def test_a_history_that_is_damaged_is_told_and_nothing_is_applied(delivery: Delivery, capsys: pytest.CaptureFixture[str]):
    delivery.was_brought_to(delivery.planned)
    (entry,) = Path(delivery.backend.bucket.url.removeprefix("file://")).rglob("*.history.json")
    entry.write_text("{")
    assert delivery.apply() == 1
    assert delivery.applied == [] and f"{entry.name} is damaged" in capsys.readouterr().err
