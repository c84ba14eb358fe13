"""Gathers what a report is made of: the controller's record of a rollout, and what the ledger says of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from heliostat.cli.rollouts import ledger
from heliostat.cli.rollouts.access import status_of
from heliostat.cli.rollouts.locate import store_of
from heliostat.engine.errors import EngineError
from heliostat.spec.ledger import Entry
from heliostat.spec.rollouts import Record
from heliostat.systems.controller_api import ControllerClient
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import open_store


def as_json(record: Record, entries: Sequence[Entry]) -> str:
    """All that a report is made of, for a program to read."""
    whole = {"record": record.model_dump(mode="json"), "entries": [one.model_dump(mode="json") for one in entries]}
    return json.dumps(whole, indent=2, ensure_ascii=False)


async def record_of(client: ControllerClient, application: str | None, number: int | None, stack: str | None) -> Record:
    """The record of a rollout, by default the newest.

    Raises:
        PermanentError: there is none, or none of that number; the text says which there are.
    """
    status = await status_of(client, application, stack)
    if number is None and status.rollout is None:
        raise PermanentError(f"{status.name} has had no rollout yet: there is nothing to report")
    wanted = number or (status.rollout.number if status.rollout else 0)
    record = await client.record(status.name, wanted)
    if record is None:
        known = ", ".join(str(one.number) for one in await client.rollouts(status.name)) or "none"
        raise PermanentError(f"the controller remembers no rollout {wanted} of {status.name}; it remembers: {known}")
    return record


def entries_of(stack: str | None, record: Record) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The ledger's entries of the record's rollout, and what could not be read; a report is written without them too."""
    try:
        found = ledger.of_rollout(open_store(store_of(stack)), record.application, record.rollout.number)
    except (PermanentError, RetryableError, EngineError) as error:
        return (), (f"the report is without the ledger: {error}",)
    return found.entries, found.notes
