"""`heliostat ci retrain`: proposes a retraining as a commit, by a person's word or by what monitors found."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from heliostat.cli import options, say
from heliostat.cli.exits import Exit, UsageError

if TYPE_CHECKING:
    from heliostat.gitops.model_card import Card
    from heliostat.gitops.retrainings import Served
    from heliostat.gitops.watched_retraining import Retrained, Watched
    from heliostat.spec.monitoring import Refusal
    from heliostat.systems.objects import ObjectStore


class _Change(click.ParamType[tuple[str, Any]]):
    name = "place=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """A place below the workload and its value, which is read as YAML reads it."""
        import yaml

        if isinstance(value, tuple):
            return value
        place, equals, said = str(value).partition("=")
        if not (place and equals):
            self.fail(f"{value!r} is no change: write training.parameters.rounds=12", param, ctx)
        try:
            return place, yaml.safe_load(said)
        except yaml.YAMLError as error:
            self.fail(f"the value of {place} cannot be read: {' '.join(str(error).split())}", param, ctx)


@click.command("retrain")
@click.argument("workload", required=False)
@click.option("--stack", "-s", "stacks", multiple=True, required=True, metavar="NAME", help="The stack that trains it.")
@click.option("--set", "changes", multiple=True, type=_Change(), metavar="PLACE=VALUE", help="What is trained with.")
@click.option("--reason", "reasons", multiple=True, metavar="TEXT", help="Why; may be given more than once.")
@click.option("--remote", default="origin", show_default=True, help="Where the branch is pushed to.")
@click.option("--base", metavar="BRANCH", help="What it is merged into; by default the remote's own branch.")
@options.as_json
@options.everywhere
def retrain(
    workload: str | None,
    stacks: tuple[str, ...],
    changes: tuple[tuple[str, Any], ...],
    reasons: tuple[str, ...],
    remote: str,
    base: str | None,
    as_json: bool,
) -> int:
    """Open a pull request by which WORKLOAD is trained again: a change of its part of the stack's config, and why.

    Without WORKLOAD, do so for what monitors of the stacks propose, in the stack that trains it: their own, else the first
    that is named and pins no model. Meant for a schedule: it also tells monitors what was refused, and brings to a stack that
    pins its models the version that its monitor asked for.

    Nothing is trained by this: merging it, and the stack's next `up`, do that. Run again it does nothing more, and what
    somebody closed is not opened again.
    """
    from heliostat.cli.session import Place
    from heliostat.systems.git_branches import base_of

    project = Place.here().require_project()
    into = base or base_of(project.root, os.environ, remote)
    if workload is None:
        if changes or reasons:
            raise UsageError("which workload? --set and --reason are of one: name it")
        return _by_monitors(stacks, remote, into, as_json)
    if len(stacks) != 1 or not changes or not reasons:
        raise UsageError(
            f"name the one stack that trains {workload} (--stack), what it trains with (--set), and why (--reason)"
        )
    return _by_hand(workload, stacks[0], dict(changes), reasons, (remote, into), as_json)


def _by_hand(
    workload: str, stack: str, changes: dict[str, Any], reasons: tuple[str, ...], remote: tuple[str, str], as_json: bool
) -> int:
    from heliostat.cli.session import Place
    from heliostat.gitops.retraining import RetrainingProposal, propose_retraining
    from heliostat.systems.forges.here import open_forge

    project = Place.here().require_project()
    proposal = RetrainingProposal(workload, stack, reasons, changes)
    file = project.stack_file(stack)
    found = propose_retraining(proposal, project.root, os.environ, file, remote, open_forge(os.environ))
    if as_json:
        say.out(json.dumps({"branch": proposal.branch, "url": found.url if found else None}, indent=2))
    elif found is None:
        say.out(f"{'/'.join(remote)} says so already, or somebody closed this proposal: nothing is to be done.")
    else:
        say.out(f"{proposal.title}: {found.url}")
    return Exit.OK


def _by_monitors(stacks: Sequence[str], remote: str, base: str, as_json: bool) -> int:
    from heliostat.cli.session import Place
    from heliostat.gitops.retrainings import Retrainings
    from heliostat.gitops.watched_retraining import Standing
    from heliostat.systems.forges.here import open_forge

    asked = _Asked({stack.rpartition("/")[2]: stack for stack in stacks})
    done: list[Retrained] = []
    found = [each for stack in asked.stacks for each in asked.watched(stack, done)]
    if found:
        project, forge = Place.here().require_project(), open_forge(os.environ)
        told = (asked.end, asked.refusals, asked.served, asked.card)
        done += Retrainings(project, os.environ, remote, base, forge, *told).see_to(found, [*asked.stacks])
    if as_json:
        say.out(json.dumps([asdict(each) for each in done], indent=2))
    else:
        lines = (f"{each.stack}: {each.workload or 'the stack'}: {each.standing}: {each.url or each.told}" for each in done)
        say.out("\n".join(lines) or f"No monitor in {', '.join(stacks)} proposes a training.")
    return Exit.FAILED if any(each.standing is Standing.FAILED for each in done) else Exit.OK


@dataclass(frozen=True)
class _Asked:
    """The stacks whose monitors are asked, and told."""

    stacks: Mapping[str, str]
    """Their whole names, by what their configs are called after."""

    def watched(self, stack: str, failed: list[Retrained]) -> Iterator[Watched]:
        """What is watched in a stack; one that does not answer holds up no other."""
        from heliostat.cli.operators import monitors
        from heliostat.cli.rollouts.applications import declared_applications
        from heliostat.engine.errors import EngineError
        from heliostat.gitops.watched_retraining import Retrained, Standing
        from heliostat.gitops.watching import watched
        from heliostat.systems.errors import PermanentError, RetryableError

        try:
            store = self._store(stack)
            for name in sorted(declared_applications(self.stacks[stack]) & set(monitors.names(store))):
                yield watched(stack, name, monitors.read(store, name), store)
        except (PermanentError, RetryableError, EngineError) as error:
            failed.append(Retrained(stack, "", Standing.FAILED, str(error)))

    def end(self, each: Watched, cost_usd: float | None) -> None:
        from heliostat.cli.operators import monitors
        from heliostat.monitoring.retraining import Outcome
        from heliostat.monitoring.state import with_ended

        proposal = each.proposal
        if proposal is not None:
            refused = Outcome.REFUSED
            monitors.change(
                self._store(each.stack), each.workload, lambda state: with_ended(state, proposal, refused, cost_usd)
            )

    def refusals(self, stack: str, workload: str, since: float) -> Sequence[Refusal]:
        from heliostat.gitops.watching import refused_since

        return refused_since(self._store(stack), workload, since)

    def served(self, stack: str, workload: str, since: float) -> Served | None:
        """By the stack's ledger: the newest rollout that ended well, where that was after `since`."""
        from heliostat.cli.rollouts.ledger import newest_first
        from heliostat.gitops.retrainings import Served
        from heliostat.spec.ledger import EntryKind
        from heliostat.spec.rollouts import Phase

        for entry in newest_first(self._store(stack), workload):
            if entry.at <= since:
                return None
            if (entry.kind, entry.phase) == (EntryKind.END, Phase.SUCCEEDED):
                commit = entry.origin.known_commit if entry.origin is not None else ""
                return Served(entry.target.version.model_uri, commit) if commit else None
        return None

    def card(self, version: str, stack: str) -> Card:
        from heliostat.cli.rollouts.locate import platform_of, stacks_here
        from heliostat.gitops.promotion import card_of

        return card_of(version, platform_of(stacks_here(), self.stacks[stack])[1])

    def _store(self, stack: str) -> ObjectStore:
        from heliostat.cli.rollouts.locate import store_of
        from heliostat.systems.objects import open_store

        return open_store(store_of(self.stacks[stack]))
