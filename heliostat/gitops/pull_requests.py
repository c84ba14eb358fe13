"""What a CI job does for a pull request: previews what it affects, and has no secrets where anybody may write.

Between two jobs lies a folder, the artefact: each stack's preview as JSON, its plan for `up --plan`, and the whole report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from heliostat.gitops.affected import GONE
from heliostat.gitops.applied import NEVER
from heliostat.gitops.plan_comment import EnvironmentNote, PlanReport, StackPlan, comment
from heliostat.systems.errors import PermanentError
from heliostat.systems.forges import Forge
from heliostat.systems.forges.events import is_from_fork

REPORT: Final = "report.json"
WHOLE: Final = "comment.md"
_UNBOUNDED: Final = 1 << 30
_FORK: Final = (
    "{} comes from a fork: it gets `heliostat ci validate` alone, and never a credential. Somebody who may write pushes the "
    "branch to this repository once it was read"
)


class ForkError(PermanentError):
    """A pull request from a fork asks for what only the repository's own branches may have."""


@dataclass(frozen=True)
class Previewed:
    """What a preview of a stack came to."""

    document: Mapping[str, Any]
    """As `--json` writes it; empty where it wrote none."""
    told: str
    """What it wrote beside, where it failed."""


class Previews(Protocol):
    """Whoever previews a stack."""

    def has_config(self, stack: str) -> bool:
        """Whether there is a config of it."""

    def preview(self, stack: str, plan: Path) -> Previewed:
        """Preview it, and write its plan."""


def refuse_forks(forge: Forge, number: int) -> None:
    """See that a pull request is of the repository's own branch.

    Raises:
        ForkError: it comes from a fork.
    """
    if forge.pull_request(number).from_fork:
        raise ForkError(_FORK.format(f"pull request {number}"))


def refuse_fork_here(environment: Mapping[str, str]) -> None:
    """See that this job is not for a fork's pull request, whose branch may be called as one of the repository's is.

    Raises:
        ForkError: it is.
    """
    if is_from_fork(environment):
        raise ForkError(_FORK.format("the pull request of this job"))


def _without_config(stack: str, why: Sequence[str]) -> StackPlan:
    if NEVER in why:
        how = f"write Pulumi.{stack}.yaml, and make the stack with `heliostat stack init {stack}`"
        return StackPlan(stack, failure=f"error: there is no config of {stack} here, and nothing was applied to it yet: {how}")
    return StackPlan(stack, why=(f"{GONE}; it stays until `heliostat destroy` takes it down",))


def preview_all(previews: Previews, affected: Mapping[str, Sequence[str]], commit: str, folder: Path) -> PlanReport:
    """Preview the stacks that a change affects, each with why, and keep all of it; one that fails holds up no other.

    What `previews` has no config of any more is told alone: it stays until somebody destroys it. What there never was one of
    has failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plans = []
    for stack, why in affected.items():
        if not previews.has_config(stack):
            plans.append(_without_config(stack, why))
            continue
        found = previews.preview(stack, plan_file(folder, stack))
        failed = "" if found.document else found.told.strip() or "the preview wrote nothing"
        plans.append(StackPlan(stack, found.document, failed, tuple(why)))
    report = PlanReport(commit, tuple(plans), artefact=folder.name)
    keep(report, folder)
    return report


def plan_file(folder: Path, stack: str) -> Path:
    """Where the plan of a stack lies in the artefact."""
    return folder / f"{stack}.plan.json"


def keep(report: PlanReport, folder: Path) -> None:
    """Write the report, for the jobs that come after, and for people."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "commit": report.commit,
        "artefact": report.artefact,
        "stacks": [{**vars(each), "why": list(each.why)} for each in report.stacks],
        "environment": None if report.environment is None else vars(report.environment),
        "comparisons": list(report.comparisons),
    }
    (folder / REPORT).write_text(json.dumps(said, indent=1, ensure_ascii=False), encoding="utf-8")
    (folder / WHOLE).write_text(comment(report, _UNBOUNDED) + "\n", encoding="utf-8")


def kept(folder: Path) -> PlanReport:
    """The report that an earlier job wrote.

    Raises:
        PermanentError: there is none.
    """
    try:
        said = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        stacks = tuple(StackPlan(**{**each, "why": tuple(each["why"])}) for each in said["stacks"])
        note = said["environment"]
        environment = EnvironmentNote(**{**note, "going": tuple(note.get("going", ()))}) if note else None
        return PlanReport(said["commit"], stacks, environment, said["artefact"], tuple(said.get("comparisons", ())))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PermanentError(
            f"{folder} has no report of `heliostat ci preview` ({type(error).__name__}: {error}): run that before, or fetch "
            "its artefact into this folder"
        ) from None


def planned_stacks(folder: Path, commit: str) -> dict[str, Path]:
    """The plans of an artefact, by stack.

    Raises:
        PermanentError: there is none, it is of another commit, or a stack of it could not be previewed.
    """
    report = kept(folder)
    if report.commit != commit:
        raise PermanentError(
            f"the plans in {folder} are of commit {report.commit[:12] or 'none'}, and {commit[:12] or 'none'} is checked out: "
            "preview this one, and have that reviewed"
        )
    failed = [each.stack for each in report.stacks if each.failure or each.document.get("result") == "failed"]
    if failed:
        raise PermanentError(f"{', '.join(failed)} could not be previewed: nothing is applied before all of it can be")
    return {each.stack: plan_file(folder, each.stack) for each in report.stacks if each.document}
