"""What a coordinator keeps in the object store, so that one that was killed goes on where it was.

Below `federations/<name>/<digest>/`: `state.json` says how far the open round is, `open/` has what sites sent in it, and
`rounds/` the parameters after the last rounds. What sites sent is deleted with their round.
"""

from __future__ import annotations

from typing import Any, Final

from numpy.typing import NDArray
from pydantic import ValidationError

from heliostat.federated.contributions import Arrays
from heliostat.federated.messages import ArraySpec, Step, pack, packed_arrays, read_arrays, specs_of, unpack
from heliostat.federated.rounds import OpenRound
from heliostat.spec.base import Digest, Model
from heliostat.systems.objects import ObjectMissingError, ObjectStore

_KEPT_ROUNDS: Final = 2


class SiteRecord(Model):
    """A site's part of a round, as it is told."""

    rows: int
    data_digest: Digest
    metrics: dict[str, float] = {}
    """Empty where they are masked, or do not travel."""


class RoundRecord(Model):
    """What came of a round."""

    round: int
    sites: dict[str, SiteRecord]
    left_out: dict[str, str] = {}
    """Why the others took no part."""
    metrics: dict[str, float] = {}
    """Means over all rows, of the parameters before the round."""
    moved: float
    """By how much the parameter moved that moved most."""
    last: bool
    arrays: dict[str, ArraySpec]


class Journal:
    """One training's."""

    def __init__(self, store: ObjectStore, name: str, digest: str) -> None:
        self._store, self._top = store, f"federations/{name}/{digest}/"

    def open_round(self) -> OpenRound:
        """How far it was; the beginning where nothing is kept."""
        try:
            kept = OpenRound.model_validate_json(self._store.get(f"{self._top}state.json"))
        except (ObjectMissingError, ValidationError):
            return OpenRound()
        # Killed between a round's end and the next one's beginning.
        return kept.next() if self._store.exists(self._round(kept.round)) else kept

    def keep_open(self, state: OpenRound) -> None:
        """Write down how far the open round is."""
        self._store.put(f"{self._top}state.json", state.model_dump_json(by_alias=True).encode())

    def answers(self, state: OpenRound) -> dict[Step, dict[str, bytes]]:
        """What sites sent in an attempt."""
        prefix = self._attempt(state)
        found: dict[Step, dict[str, bytes]] = {step: {} for step in Step}
        for item in self._store.list(prefix):
            step, _, site = item.key.removeprefix(prefix).partition(".")
            found[Step(step)][site] = self._store.get(item.key)
        return found

    def keep_answer(self, state: OpenRound, step: Step, site: str, body: bytes) -> None:
        """Write down what a site sent, before it is told that it was taken."""
        self._store.put(f"{self._attempt(state)}{step}.{site}", body)

    def last_round(self, state: OpenRound) -> tuple[RoundRecord, dict[str, NDArray[Any]]] | None:
        """The round before the open one, and the parameters after it; None where the first is open."""
        if state.round == 1:
            return None
        record, payload = unpack(RoundRecord, self._store.get(self._round(state.round - 1)))
        return record, read_arrays(record.arrays, payload)

    def close(self, state: OpenRound, record: RoundRecord, arrays: Arrays) -> None:
        """Keep a round's parameters, then open the next one, then forget what sites sent."""
        record = record.model_copy(update={"arrays": specs_of(arrays)})
        self._store.put(self._round(state.round), pack(record, packed_arrays(arrays)))
        self.keep_open(state.next())
        for item in list(self._store.list(f"{self._top}open/")):
            self._store.delete(item.key)
        if state.round > _KEPT_ROUNDS:
            self._store.delete(self._round(state.round - _KEPT_ROUNDS))

    def _round(self, number: int) -> str:
        return f"{self._top}rounds/{number:06d}"

    def _attempt(self, state: OpenRound) -> str:
        return f"{self._top}open/{state.round}-{state.attempt}."
