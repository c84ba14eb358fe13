"""Who has which URN: the names of registrations, and the aliases by which they take over what another name had."""

from __future__ import annotations

from heliostat.engine.planning.goals import Goal, Names
from heliostat.engine.planning.operation import Operation
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.urns import Urn


class Claims:
    """The URNs of one run; every method that refuses one raises Reported."""

    def __init__(self, op: Operation, stack: str, project: str) -> None:
        self._op = op
        self._seen: set[Urn] = set()
        self._former: dict[Urn, Urn] = {}
        self._claimants: dict[Urn, Urn] = {}
        self._names = Names(stack, project, self._former.get)

    def urn(self, goal: Goal) -> Urn:
        """The URN of a goal."""
        return self._names.urn(goal)

    def name(self, goal: Goal) -> Urn:
        """The URN of a goal, which nothing else of this run may have."""
        urn = self._names.urn(goal)
        if goal.parent and goal.parent not in self._seen:
            raise self._op.fail(f"could not find parent resource {goal.parent}", urn)
        self.take(urn)
        return urn

    def take(self, urn: Urn) -> None:
        """See `urn`, for the first time."""
        if urn in self._seen:
            raise self._op.fail(f"Duplicate resource URN '{urn}'; try giving it a unique name", urn)
        self.see(urn)

    def see(self, urn: Urn) -> None:
        """From now on `urn` is one of this run."""
        self._seen.add(urn)

    def is_seen(self, urn: Urn) -> bool:
        """Whether this run has come across `urn`."""
        return urn in self._seen

    def former(self, urn: Urn) -> Urn:
        """The name under which the old state has the resource at `urn`."""
        return self._former.get(urn, urn)

    def claimant(self, urn: Urn) -> Urn:
        """The name that what the old state has at `urn` goes by now."""
        return self._claimants.get(urn, urn)

    def find_old(self, goal: Goal, urn: Urn) -> tuple[Resource | None, Urn | None]:
        """What the old state has for the goal at `urn`, and the alias it was found by, if not by its own name."""
        if urn in self._claimants:
            raise self._op.fail(
                f"Duplicate resource URN '{urn}' conflicting with alias on resource with URN '{self._claimants[urn]}'", urn
            )
        for name in [urn, *self._names.aliases(goal)]:
            old = self._op.old(name)
            if old is None:
                continue
            if name == urn:
                return old, None
            if name in self._seen or name in self._claimants:
                raise self._op.fail(
                    f"Duplicate resource alias '{name}' applied to resource with URN '{urn}' "
                    f"conflicting with resource with URN '{self._claimants.get(name, urn)}'",
                    urn,
                )
            self._claimants[name], self._former[urn] = urn, name
            return old, name
        return None, None
