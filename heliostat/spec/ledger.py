"""The ledger: what served when, one immutable object an entry, in the object store.

    ledger/<application>/<number, ten digits>.json

Numbers rise by one without a gap; an entry is written once and never again. It outlives the stack.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

from heliostat.spec.analysis import AnalysisResult
from heliostat.spec.base import Model, Name
from heliostat.spec.rollouts import Desired, Origin, Phase
from heliostat.spec.strategies import Strategy


class EntryKind(StrEnum):
    """What happened."""

    SHIFT = "shift"
    """Traffic moved."""
    END = "end"
    """A rollout ended; `phase` says how."""
    REMOVED = "removed"
    """The application was taken away."""


class Entry(Model):
    """One entry."""

    number: int
    """From 1, in the application."""
    id: str
    """The same for the same happening, however often it is written."""
    application: Name
    at: float
    """Unix time, seconds."""
    kind: EntryKind
    rollout: int
    phase: Phase
    strategy: Strategy
    previous: Desired | None
    """What served when the rollout began."""
    target: Desired
    weights: dict[str, float]
    """Shares of the traffic after it, 0 to 1, by the version's digest; empty where nothing serves."""
    origin: Origin | None = None
    """Who declared it, from which commit."""
    figures: dict[str, Any] = {}
    analyses: tuple[AnalysisResult, ...] = ()
    error: str | None = None

    @property
    def known(self) -> dict[str, Desired]:
        """The versions that it speaks of, by digest, each with the configuration that it was left with."""
        went_back = self.phase in (Phase.FAILED, Phase.ROLLING_BACK)
        # A change of replicas alone has the same version on both sides: the side that was left standing is put last.
        sides = (self.target, self.previous) if went_back else (self.previous, self.target)
        return {side.version.digest: side for side in sides if side is not None}


TOP = "ledger/"
"""Where all ledgers lie in the object store; they outlive it (`heliostat.systems.store_lifecycle`)."""
_KEY = re.compile(rf"{TOP}([^/]+)/([0-9]{{10}})\.json")


def prefix_of(application: str) -> str:
    """Where an application's entries lie in the object store."""
    return f"{TOP}{application}/"


def key_of(application: str, number: int) -> str:
    """Where an entry lies in the object store."""
    return f"{prefix_of(application)}{number:010d}.json"


def place_of(key: str) -> tuple[str, int] | None:
    """The application and the number of the entry that lies there, as `key_of` names it; None of what is no entry."""
    fits = _KEY.fullmatch(key)
    return (fits[1], int(fits[2])) if fits else None
