"""`heliostat ci outcomes`: tells on pull requests what came of the rollouts that they brought."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say
from heliostat.cli.durations import Duration
from heliostat.cli.exits import Exit

if TYPE_CHECKING:
    from heliostat.gitops.outcome_comments import Told
    from heliostat.gitops.records import EnvironmentRecord
    from heliostat.gitops.rollout_outcomes import RolloutOutcome


@click.command("outcomes")
@click.option("--stack", "-s", "named", multiple=True, metavar="NAME", help="These stacks; by default the selected one.")
@click.option("--environments", "with_environments", is_flag=True, help="Those of branches' environments, too.")
@click.option("--since", type=Duration(), default="7d", show_default=True, help="How long ago one may have ended, as 72h.")
@options.as_json
@options.everywhere
def outcomes(named: tuple[str, ...], with_environments: bool, since: float, as_json: bool) -> int:
    """Tell on each pull request how the rollouts stand, or ended, that its merge brought: by one comment, kept up to date.

    What an earlier merge changed, and a later one's update rolled out, is told on the earlier one.

    What an `up --detach` left goes on without a job: rollouts, and trainings and the like. This is for a schedule, and for the
    end of a job: run again, it changes what has changed.
    """
    from heliostat.cli.commands.env import environments_here
    from heliostat.cli.rollouts.locate import stacks_here
    from heliostat.cli.session import Place
    from heliostat.gitops.brought import Merges
    from heliostat.gitops.outcome_comments import tell
    from heliostat.systems.forges.here import open_forge

    there = stacks_here()
    stacks = named or (there.name(None),)
    failures: dict[str, str] = {}
    moment = time.time() - since
    found = [each for stack in stacks for each in _outcomes(stack, moment, failures)]
    found += [each for stack in stacks for each in _work(stack, moment, failures)]
    records, damaged = environments_here(quiet=True).records.survey() if with_environments else ([], [])
    failures |= {each.name: each.told for each in damaged}
    found += _of_environments(records, failures)
    found += [each for record in records for each in _work(record.name, moment, failures, of_branch=True)]
    full = {stack.rpartition("/")[2]: stack for stack in stacks}
    merges = Merges(Place.here().require_project(), os.environ, lambda stack: there.history(full[stack]), say.told)
    told = tell(open_forge(os.environ), found, {each.name: each.branch for each in records}, merges.of)
    _show(told, failures, as_json)
    return Exit.FAILED if failures or any(each.failure for each in told) else Exit.OK


def _outcomes(stack: str, since: float, failures: dict[str, str]) -> Iterator[RolloutOutcome]:
    """Those of a stack; one that does not answer holds up no other."""
    from heliostat.cli.rollouts.access import declared_statuses
    from heliostat.cli.rollouts.ledger import newest_first
    from heliostat.cli.rollouts.locate import store_of
    from heliostat.engine.errors import EngineError
    from heliostat.gitops.rollout_outcomes import outcomes_in
    from heliostat.systems.errors import PermanentError, RetryableError
    from heliostat.systems.objects import open_store

    short = stack.rpartition("/")[2]
    try:
        store = open_store(store_of(stack))
        for name, status in sorted(declared_statuses(stack).items()):
            yield from outcomes_in(short, status, newest_first(store, name), since)
    except (PermanentError, RetryableError, EngineError) as error:
        failures[short] = str(error)


def _work(stack: str, since: float, failures: dict[str, str], *, of_branch: bool = False) -> Iterator[RolloutOutcome]:
    """What updates of a stack left that goes on by itself, or ended."""
    from heliostat.cli.left_work import left_of
    from heliostat.engine.errors import EngineError

    try:
        record = left_of(stack)
    except EngineError as error:
        failures[stack.rpartition("/")[2]] = str(error)
        return
    if record.works:
        from heliostat.gitops.going_on import outcomes_of, standings_of

        found = standings_of(record)
        yield from outcomes_of(stack.rpartition("/")[2], record, found, since, of_branch=of_branch)


def _of_environments(records: Sequence[EnvironmentRecord], failures: dict[str, str]) -> Iterator[RolloutOutcome]:
    from heliostat.cli.rollouts.access import with_controller
    from heliostat.engine.errors import EngineError
    from heliostat.gitops.rollout_outcomes import of_environment
    from heliostat.systems.errors import PermanentError, RetryableError

    for platform in sorted({record.platform for record in records}):
        try:
            there = {status.name: status for status in with_controller(platform, lambda client: client.list())}
        except (PermanentError, RetryableError, EngineError) as error:
            failures[platform] = str(error)
            continue
        for record in (each for each in records if each.platform == platform):
            statuses = (there[name] for name in record.applications if name in there)
            yield from (found for status in statuses if (found := of_environment(record.name, status)) is not None)


def _show(told: list[Told], failures: dict[str, str], as_json: bool) -> None:
    if as_json:
        pulls = [
            {
                "pullRequest": each.number,
                "url": each.url,
                "failure": each.failure or None,
                "rollouts": [
                    {"stack": one.stack, "application": one.application, "rollout": one.number, "standing": one.standing}
                    for one in each.rollouts
                ],
            }
            for each in told
        ]
        say.out(json.dumps({"pullRequests": pulls, "failures": failures}, indent=2))
        return
    for each in told:
        what = ", ".join(f"{one.application} in {one.stack}" for one in each.rollouts)
        say.out(f"{each.url}: {each.failure or what}")
    for stack, failure in failures.items():
        say.out(f"{stack}: {failure}")
    if not told and not failures:
        say.out("No pull request brought a rollout that is on its way, or ended lately.")
