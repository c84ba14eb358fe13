"""What whoever calls may see of data sets, and delete: the stack's `access` section, which its controller keeps, by the names
of the workloads that the data sets are of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from heliostat.cli.datasets.catalogue import Catalogue
from heliostat.cli.datasets.lineage import Lineage, Use
from heliostat.cli.datasets.retention import Verdict
from heliostat.cli.rollouts.access import with_controller
from heliostat.cli.rollouts.locate import controller_of
from heliostat.engine.stackerrors import NotFoundError
from heliostat.spec.data_sets import PrunedData
from heliostat.spec.roles import Identity, Permission, refusal
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.governance_calls import ForbiddenError


@dataclass(frozen=True)
class Caller:
    """Whoever calls, as the controller knows them."""

    stack: str | None
    identity: Identity | None
    """None: no controller says who may what."""
    note: str = ""
    """Why not, where one should."""

    @classmethod
    def of(cls, stack: str | None) -> Caller:
        """Whoever has the token that this command uses.

        Raises:
            ForbiddenError: the controller lets nobody in with it.
        """
        try:
            controller_of(stack)
        except (NotFoundError, PermanentError):
            return cls(stack, None)  # no platform is up, and no policy is kept
        try:
            return cls(stack, with_controller(stack, lambda client: client.whoami()))
        except RetryableError as error:
            note = f"who may see which data sets is not known, and whoever reads the object store sees all: {error}"
            return cls(stack, None, note)

    def require(self, permission: Permission, name: str) -> None:
        """See that they may.

        Raises:
            ForbiddenError: they may not.
        """
        if self.identity is not None and not self.identity.may(permission, name):
            raise ForbiddenError(refusal(self.identity, (permission,), name))

    def sees(self, name: str) -> bool:
        """Whether they may see a data set."""
        return self.identity is None or self.identity.may(Permission.SEE, name)

    def seen(self, known: Catalogue) -> Catalogue:
        """What of a catalogue they may see."""
        if self.identity is None:
            return known
        return replace(
            known,
            snapshots=tuple(each for each in known.snapshots if self.sees(each.name)),
            leftovers=tuple(each for each in known.leftovers if self.sees(each.name)),
            pruned=tuple(each for each in known.pruned if self.sees(each.name)),
            unread=tuple(each for each in known.unread if self.sees(each.name)),
            ingested=tuple(each for each in known.ingested if self.sees(each.key.split("/")[1])),
        )

    def traced(self, known: Lineage, everything: Catalogue) -> Lineage:
        """The same, without the names of what they may not see: that it uses a snapshot is told, and holds it."""
        if self.identity is None:
            return known
        uses = {digest: tuple(dict.fromkeys(map(self._told, each))) for digest, each in known.uses.items()}
        theirs = {each.text: _UNREAD for each in everything.unread if not self.sees(each.name)}
        unknown = tuple(dict.fromkeys(theirs.get(each, each) for each in known.unknown))
        return replace(known, uses=uses, unknown=unknown)

    def _told(self, use: Use) -> Use:
        name = use.name
        return use if name is None or self.sees(name) else Use(kind=use.kind, what="others", complete=use.complete)

    def tell_pruning(self, going: Iterable[Verdict]) -> None:
        """Have the audit log told what is going to be deleted, by data set.

        Raises:
            ForbiddenError: they may not delete some of it.
            RetryableError: the controller does not answer: nobody says whether they may.
        """
        if self.identity is None and not self.note:
            return
        by_name: dict[str, list[Verdict]] = {}
        for each in going:
            by_name.setdefault(each.subject.name, []).append(each)
        for name in by_name:
            self.require(Permission.DECLARE, name)
        for name, verdicts in sorted(by_name.items()):
            told = PrunedData(what=tuple(each.what for each in verdicts), size=sum(each.subject.size for each in verdicts))
            with_controller(self.stack, lambda client, name=name, told=told: client.tell_pruning(name, told))  # type: ignore[misc]


_UNREAD: Final = "a manifest of a data set that you may not see cannot be read"
