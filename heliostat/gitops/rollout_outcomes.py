"""What came of rollouts, as the rows of a comment on the pull request that brought them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from heliostat.gitops.markdown import code, text_of
from heliostat.spec.analysis import AnalysisResult, Verdict
from heliostat.spec.formatting import minute, percent
from heliostat.spec.ledger import Entry, EntryKind
from heliostat.spec.rollouts import Origin, Phase, Rollout, Status

MARK: Final = "<!-- heliostat: what came of this pull request; edited by each run -->"
"""The first line of the comment, by which the next run finds it."""
_ROW: Final = re.compile(r"\| .*<!-- rollout (\S+) (\S+) ([0-9]+) --> \|")
_MOST_ROWS: Final = 100
_ENDED: Final = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.SUPERSEDED})


@dataclass(frozen=True)
class RolloutOutcome:
    """Where a rollout of an application in a stack stands, or how it ended."""

    stack: str
    application: str
    number: int
    commit: str
    """At which it was declared."""
    change: str
    """From which version to which."""
    strategy: str
    standing: str
    """As Markdown; it names times, and no spans that would change with each look."""
    after: str = ""
    """The commit of the application's last rollout before it that was of another commit; empty where none is known."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is of; a later look at it has the same."""
        return self.stack, self.application, str(self.number)

    @property
    def row(self) -> str:
        """It as a row of the comment's table."""
        cells = (text_of(self.stack), text_of(self.application), code(self.change), self.strategy, self.standing)
        return f"| {' | '.join(cells)} <!-- rollout {' '.join(self.key)} --> |"


def outcomes_in(stack: str, status: Status | None, entries: Iterable[Entry], since: float) -> Iterator[RolloutOutcome]:
    """The rollouts of an application that a known commit declared: the one that is on its way, and what ended after `since`.

    `entries` are those of its ledger, the newest first; no more of them are read than it takes. Of what a checkout declared
    that differed from its commit, nobody can say which pull request brought it.
    """
    rollout = status.rollout if status is not None else None
    waiting: list[RolloutOutcome] = []
    if status is not None and rollout is not None and (commit := _commit(rollout.origin)):
        waiting.append(_of_rollout(stack, status.name, rollout, commit))
    for entry in entries:
        if entry.at < since and not waiting:
            return
        commit = _commit(entry.origin)
        if entry.kind is not EntryKind.END or not commit:
            continue
        yield from (replace(each, after=commit) for each in waiting if each.commit != commit)
        waiting = [each for each in waiting if each.commit == commit]
        if entry.at >= since and not (rollout is not None and entry.rollout == rollout.number):
            waiting.append(_of_entry(stack, entry, commit))
    yield from waiting


def of_environment(name: str, status: Status) -> RolloutOutcome | None:
    """The newest rollout of an application in a branch's environment; None where there was none."""
    rollout = status.rollout
    return _of_rollout(name, status.name, rollout, "", may_order=False) if rollout is not None else None


def text_with(before: str, outcomes: Sequence[RolloutOutcome], longest: int) -> str:
    """The comment with these rows in the place of what it said of the same rollouts; what it says of others stays.

    Where it would be longer than the forge takes, it loses the oldest rows.
    """
    rows: dict[tuple[str, ...], str] = {
        found.groups(): line for line in before.splitlines() if (found := _ROW.fullmatch(line)) is not None
    }
    rows |= {each.key: each.row for each in outcomes}
    kept = [*rows.values()][-_MOST_ROWS:]
    head = [
        MARK,
        "",
        "### What came of it",
        "",
        "| stack | application | version | strategy | it stands |",
        "| --- " * 5 + "|",
    ]
    while len("\n".join([*head, *kept])) > longest:
        kept = kept[1:]
    return "\n".join([*head, *kept])


def by_pull_request(found: Iterable[tuple[int, RolloutOutcome]]) -> Mapping[int, list[RolloutOutcome]]:
    """Rows by the pull request that they are told on, the oldest rollout of an application first."""
    told: dict[int, list[RolloutOutcome]] = {}
    for number, outcome in found:
        told.setdefault(number, []).append(outcome)
    return {
        number: sorted(rows, key=lambda each: (each.stack, each.application, each.number)) for number, rows in told.items()
    }


def _of_rollout(stack: str, name: str, rollout: Rollout, commit: str, *, may_order: bool = True) -> RolloutOutcome:
    if rollout.phase in _ENDED:
        at = rollout.ended_at if rollout.ended_at is not None else rollout.started_at
        standing = _ended(rollout.phase, at, rollout.error, rollout.from_version, rollout.analyses)
    else:
        standing = _under_way(stack, name, rollout, may_order)
    change = _change(rollout.from_version, rollout.to_version)
    return RolloutOutcome(stack, name, rollout.number, commit, change, rollout.strategy.kind, standing)


def _of_entry(stack: str, entry: Entry, commit: str) -> RolloutOutcome:
    before = entry.previous.version.label if entry.previous else None
    standing = _ended(entry.phase, entry.at, entry.error, before, entry.analyses)
    change = _change(before, entry.target.version.label)
    return RolloutOutcome(stack, entry.application, entry.rollout, commit, change, entry.strategy.kind, standing)


def _change(before: str | None, after: str) -> str:
    return after if before in (None, after) else f"{before} → {after}"


def _ended(phase: Phase, at: float, error: str | None, before: str | None, analyses: Sequence[AnalysisResult]) -> str:
    findings = [each for result in analyses for each in result.findings]
    passed = sum(each.verdict is Verdict.PASS for each in findings)
    checks = f"; {passed} of {len(findings)} checks passed" if findings else ""
    if phase is Phase.SUCCEEDED:
        return f"through: it got all the traffic, and the rollout ended at {minute(at)}{checks}"
    if phase is Phase.SUPERSEDED:
        return f"a newer declaration took its place at {minute(at)}"
    stays = f"{code(before)} goes on serving" if before else "nothing was there to go back to"
    return f"**rolled back** at {minute(at)}: {_first_line(error)}; {stays}{checks}"


def _under_way(stack: str, name: str, rollout: Rollout, may_order: bool) -> str:
    share = f"{percent(rollout.candidate_weight)} of the traffic"
    until = f" until {minute(rollout.until)}" if rollout.until is not None else ""
    if rollout.phase is Phase.WAITING:
        words = f": {code(f'/approve {name} in {stack}')} or {code(f'/rollback {name} in {stack}')}" if may_order else ""
        late = f"; left alone, it is rolled back at {minute(rollout.until)}" if rollout.until is not None else ""
        return f"it has {share} and **waits for a person**{words}{late}"
    if rollout.phase in (Phase.RETAINING, Phase.RETIRING):
        return f"it has all the traffic; the version before is kept{until}"
    if rollout.phase is Phase.ROLLING_BACK:
        return f"it is being rolled back: {_first_line(rollout.error)}"
    step = f", step {rollout.step + 1} of {len(rollout.steps)}" if len(rollout.steps) > 1 else ""
    return f"on its way with {share}: {rollout.phase.value}{until}{step}"


def _first_line(error: str | None) -> str:
    return text_of(next((line for line in (error or "").splitlines() if line.strip()), "nobody said why").strip().rstrip("."))


def _commit(origin: Origin | None) -> str:
    return origin.known_commit if origin is not None else ""
