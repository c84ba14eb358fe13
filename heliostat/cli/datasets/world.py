"""What the commands about data sets look at: the store, MLflow and the stacks' states, as a stack's platform has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

from heliostat.cli.datasets import catalogue
from heliostat.cli.datasets.catalogue import Catalogue
from heliostat.cli.datasets.lineage import Lineage, digest_of_model, traced
from heliostat.cli.datasets.permissions import Caller
from heliostat.cli.operators.deployed import deployed
from heliostat.cli.rollouts.locate import stacks_here, store_of
from heliostat.engine.stackerrors import NotFoundError
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.roles import Permission
from heliostat.systems.errors import PermanentError
from heliostat.systems.mlflow_lineage import LineageRegistry
from heliostat.systems.objects import ObjectStore, open_store

_SECONDS = 10.0


@dataclass(frozen=True)
class World:
    """Where data sets are, and who may use them."""

    stack: str | None
    address: StoreAddress

    @classmethod
    def of(cls, stack: str | None) -> World:
        """That of a stack's platform, also of one that was destroyed."""
        return cls(stack, store_of(stack))

    @property
    def store(self) -> ObjectStore:
        """The object store."""
        return open_store(self.address)

    @cached_property
    def caller(self) -> Caller:
        """Whoever calls; asked for once."""
        return Caller.of(self.stack)

    @cached_property
    def everything(self) -> Catalogue:
        """All that is in the store, whoever may see it: what a data set was made of is used by it, seen or not."""
        return catalogue.read(self.store)

    def seen(self, name: str | None = None) -> Catalogue:
        """What is in the store, or one data set of it, as far as whoever calls may see it.

        Raises:
            ForbiddenError: they may not see the data set of that name.
        """
        if name is not None:
            self.caller.require(Permission.SEE, name)
        known = self.caller.seen(self.everything)
        if name is not None:
            known = replace(known, snapshots=known.of(name))
        return replace(known, notes=(*known.notes, *(each.text for each in known.unread), *filter(None, [self.caller.note])))

    def lineage(self) -> Lineage:
        """Who uses what is in the store, by name as far as whoever calls may see them; who does not answer is named in it."""
        with self._registry() as registry:
            found = traced(self.everything, self.store, registry, stacks_here(), _NO_MLFLOW if registry is None else "")
        return self.caller.traced(found, self.everything)

    def reference(self, given: str) -> str:
        """What `models:/<name>/<number>` and `runs:/<id>` were trained on, as the catalogue finds it; all else as it is."""
        if not given.startswith(("models:/", "runs:/")):
            return given
        with self._registry() as registry:
            if registry is None:
                raise PermanentError(f"{given} cannot be looked up: {_NO_MLFLOW}")
            return digest_of_model(registry, given)

    @contextmanager
    def _registry(self) -> Iterator[LineageRegistry | None]:
        try:
            found = deployed(self.stack)
        except NotFoundError:
            yield None
            return
        if not found.tracking_uri:
            yield None
            return
        with LineageRegistry(found.tracking_uri, seconds=_SECONDS, access=found.tracking_access) as registry:
            yield registry


_NO_MLFLOW = "the stack exports no MLflow: its platform is down"
