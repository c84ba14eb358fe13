"""`heliostat ci continue`: does the rest of updates that left work which goes on by itself, once it has ended."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from heliostat.cli import options, say, switches
from heliostat.cli.commands.ci_apply import LOCK_TIMEOUT
from heliostat.cli.exits import Exit

if TYPE_CHECKING:
    from heliostat.engine.state.going import Record
    from heliostat.gitops.records import EnvironmentRecord

_READY: Final = "ready"
_ON_ITS_WAY: Final = "on its way"
_BY_HAND: Final = "by hand"
_BAD: Final = frozenset({"failed", _BY_HAND})
_NOT_OURS: Final = (
    "It is of {commit}, which is not in the history of what is checked out: check that commit out and run `heliostat up`, "
    "or fetch the whole history"
)


@dataclass(frozen=True)
class _Continued:
    """What became of one stack's update."""

    stack: str
    standing: str
    """`nothing`, `on its way`, `ready`, `done`, `stopped`, `by hand` or `failed`."""
    told: str = ""


@click.command("continue")
@click.option("--stack", "-s", "named", multiple=True, metavar="NAME", help="These stacks; by default the selected one.")
@click.option("--environments", "with_environments", is_flag=True, help="Branches' environments, too; without -s, them alone.")
@click.option("--dry-run", is_flag=True, help="Only say how it stands; ends with 75 where there is nothing to do yet.")
@LOCK_TIMEOUT
@options.as_json
@options.everywhere
def continue_(named: tuple[str, ...], with_environments: bool, dry_run: bool, patience: float, as_json: bool) -> int:
    """Do the rest of updates that left work which goes on by itself, once it has ended; meant for a schedule.

    The commit that the update was of is checked out for it, and it is held to the plan that the update was held to. Work that
    goes on is only looked at, and nothing is done for an update that failed. What takes long is left again.
    """
    from heliostat.cli.rollouts.locate import stacks_here

    stacks = named or (() if with_environments else (stacks_here().name(None),))
    done = [_continued(stack, dry_run, patience) for stack in stacks]
    if with_environments:
        done += _environments(dry_run)
    if as_json:
        say.out(json.dumps([asdict(each) for each in done], indent=2))
    else:
        say.out("\n".join(f"{each.stack}: {each.standing}{each.told and f': {each.told}'}" for each in done))
    if dry_run:
        return Exit.OK if any(each.standing == _READY for each in done) else Exit.TRY_LATER
    return Exit.FAILED if any(each.standing in _BAD for each in done) else Exit.OK


def _continued(stack: str, dry_run: bool, patience: float) -> _Continued:
    """One that fails holds up no other."""
    from heliostat.cli.left_work import left_of, wait_for_holder
    from heliostat.engine.errors import EngineError
    from heliostat.systems.errors import PermanentError, RetryableError

    try:
        record = left_of(stack)
        looked = _looked_at(stack, record, dry_run)
        if dry_run or looked.standing != _READY:
            return looked
        wait_for_holder(stack, patience)
        # Whoever held it may have done the rest.
        record = left_of(stack)
        return _go_on(stack, record) if record.going and not record.stopped else _Continued(stack, "nothing")
    except (PermanentError, RetryableError, EngineError) as error:
        return _Continued(stack, "failed", str(error))


def _looked_at(stack: str, record: Record, dry_run: bool, *, of_branch: bool = False) -> _Continued:
    """How the update of a stack stands. Where it is not to be gone on with, what has run for too long is ended here."""
    if not record.going:
        return _Continued(stack, "nothing")
    from heliostat.gitops.going_on import ended_where_overdue, standings_of

    found = standings_of(record)
    in_the_way = _in_the_way(record, of_branch)
    if in_the_way is not None and not dry_run and any(each.overdue for each in found):
        found = ended_where_overdue(found)
    told = "; ".join(each.line for each in found)
    is_ready = any(each.is_ready for each in found)
    if in_the_way is None or (in_the_way.standing == _BY_HAND and not is_ready):
        return _Continued(stack, _READY if is_ready else _ON_ITS_WAY, told)
    return _Continued(stack, in_the_way.standing, f"{told}. {in_the_way.told}")


@dataclass(frozen=True)
class _InTheWay:
    """Why a schedule goes on with no update of a stack."""

    standing: str
    told: str


def _in_the_way(record: Record, of_branch: bool) -> _InTheWay | None:
    if record.stopped:
        return _InTheWay("stopped", f"{record.stopped}; mend it, and run `heliostat up`, or merge what mends it")
    if not record.commit:
        return _InTheWay(_BY_HAND, "It was begun from a checkout with changes: run `heliostat up` there")
    # Who can write where states are could have it do what no branch was given.
    if not of_branch and not _is_in_history(record.commit):
        return _InTheWay(_BY_HAND, _NOT_OURS.format(commit=record.commit[:12]))
    return None


def _is_in_history(commit: str) -> bool:
    """Whether what is checked out came of a commit: what a schedule's branch never had is nothing that it goes on with."""
    from heliostat.cli.session import Place
    from heliostat.systems.git import merge_base

    return merge_base(Place.here().require_project().root, os.environ, commit) == commit


def _go_on(stack: str, record: Record) -> _Continued:
    from heliostat.cli.session import Place
    from heliostat.gitops.commands import CommandLine, WorkGoesOnError
    from heliostat.systems.git_checkout import checked_out

    root = Place.here().require_project().root
    with tempfile.TemporaryDirectory(prefix="heliostat-plan-") as folder, checked_out(root, os.environ, record.commit):
        plan = Path(folder) / "plan.json"
        if record.plan:
            plan.write_text(record.plan, encoding="utf-8")
        try:
            CommandLine(root).apply(stack, plan if record.plan else None, [switches.DETACH], record.commit)
        except WorkGoesOnError:
            return _Continued(stack, _ON_ITS_WAY, "something else goes on by now, or somebody else goes on with it")
    return _Continued(stack, "done", f"{record.commit[:12]} is applied")


def _environments(dry_run: bool) -> Iterator[_Continued]:
    """Those of branches, as the preview template declares them: none of them has a plan."""
    from heliostat.cli.commands.env import environments_here
    from heliostat.cli.left_work import left_of
    from heliostat.engine.errors import EngineError
    from heliostat.systems.errors import PermanentError, RetryableError

    environments = environments_here(quiet=True)
    for each in environments.records.all():
        if not each.going or each.leaving:
            continue
        try:
            looked = _looked_at(each.name, left_of(each.name), dry_run, of_branch=True)
            if looked.standing == _ON_ITS_WAY and not dry_run:
                environments.note_use(each)  # nobody can use it before it is up
            yield looked if dry_run or looked.standing != _READY else _environment(each)
        except (PermanentError, RetryableError, EngineError) as error:
            yield _Continued(each.name, "failed", str(error))


def _environment(record: EnvironmentRecord) -> _Continued:
    from heliostat.cli.commands.env import environments_here
    from heliostat.cli.session import Place
    from heliostat.systems.git_checkout import checked_out

    there = environments_here(quiet=True).records.find(record.name)
    if there is None or there.commit != record.commit or not there.going:
        return _Continued(record.name, "nothing", "somebody else went on with it")
    with checked_out(Place.here().require_project().root, os.environ, record.commit):
        after = environments_here(quiet=True).up(record.branch, record.commit, [switches.DETACH])
    return _Continued(record.name, _ON_ITS_WAY, after.going) if after.going else _Continued(record.name, "done")
