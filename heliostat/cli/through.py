"""Whether a stack has what is checked out and its rollouts are through, so that what comes after it may be applied."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from heliostat.cli.exits import NotYetError
from heliostat.cli.left_work import left_of

if TYPE_CHECKING:
    from heliostat.cli.rollouts.locate import Stacks
    from heliostat.engine.config.project import Project
    from heliostat.gitops.applied import Applied
    from heliostat.gitops.rollouts_through import NotThrough


def require_through(there: Stacks, project: Project, stack: str, commit: str) -> None:
    """See that a stack has what is checked out, and that its rollouts are through.

    Raises:
        NotYetError: something is on its way.
        PermanentError: it does not have it, or something was rolled back.
    """
    from heliostat.gitops.applied import affected_since_applied, last_applied
    from heliostat.systems.errors import PermanentError

    short, last = commit[:12], last_applied(there.history(stack))
    is_known = replace(last, commit=last.commit or last.going)
    for each in affected_since_applied(project, os.environ, {stack: is_known}):
        why = "; ".join([*each.whole, *(f"{name}: {', '.join(all_)}" for name, all_ in each.workloads.items())])
        raise PermanentError(
            f"{stack} is not at what {short} declares ({why}): apply that first; where it is at a later commit, apply that "
            "one's plan"
        )

    if last.going:
        told = "".join(f"\n  {work.message.partition(';')[0]}" for work in left_of(stack).going)
        raise NotYetError(f"{stack} is not through with {short}, so nothing was applied; run it again later:{told}")
    found = _not_through(stack, last)
    if not found:
        return
    told = "".join(f"\n  {each.application}: {each.why}" for each in found)
    if all(each.may_come for each in found):
        raise NotYetError(f"{stack} is not through with {short}, so nothing was applied; run it again later:{told}")
    raise PermanentError(
        f"{stack} is not well with {short}, so nothing was applied; what comes next needs another commit:{told}"
    )


def what_is_in_the_way(there: Stacks, stack: str) -> list[str]:
    """Why a stack is not through with whatever was applied to it last; nothing where it is."""
    from heliostat.gitops.applied import last_applied

    last = last_applied(there.history(stack))
    if not last.commit:
        return [f"{stack}: {last.why_unknown}"]
    return [f"{stack}: {each.application}: {each.why}" for each in _not_through(stack, last)]


def _not_through(stack: str, last: Applied) -> list[NotThrough]:
    from heliostat.cli.rollouts.access import declared_statuses
    from heliostat.cli.rollouts.applications import declared_applications
    from heliostat.cli.rollouts.ledger import newest_first
    from heliostat.cli.rollouts.locate import store_of
    from heliostat.gitops.rollouts_through import brought_by, not_through
    from heliostat.systems.objects import open_store

    def brought(application: str) -> str:
        return brought_by(newest_first(open_store(store_of(stack)), application), last.commit, last.since)

    return list(not_through(declared_applications(stack), declared_statuses(stack), last.commit, brought))
