"""A coordinator without MLflow, in a thread or as a program: `python coordinates.py SETTINGS`. It goes on where it was."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from heliostat.federated.messages import TrainingNote
from heliostat.jobs.federation.coordinator import Coordinator
from heliostat.jobs.federation.journal import Journal, RoundRecord
from heliostat.jobs.federation.server import Api, listening
from heliostat.jobs.federation.wheels import StoredWheels
from heliostat.ml.contracts import load_entry_point
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.federated import CoordinatorListener, Site
from heliostat.systems.objects import open_store


class DiedError(Exception):
    """The coordinator was to end here."""


async def coordinate(settings: dict[str, Any], tell: Callable[[str], None], on_round: Callable[[RoundRecord], None]) -> None:
    """All rounds that are left; the parameters go to `result.npz`."""
    store = open_store(StoreAddress(uri=settings["store"]))
    note = TrainingNote.model_validate(settings["note"])
    sites = {name: Site(token_sha256=digest) for name, digest in settings["sites"].items()}
    wheels = StoredWheels(store, note.name, Path(settings["folder"]), lambda site: tell(f"{site} has the package"))
    federation = load_entry_point(note.entry_point)
    journal = Journal(store, note.name, note.digest)
    names, seconds = frozenset(sites), settings["roundSeconds"]
    coordinator = Coordinator(note, federation, names, seconds, journal, tell, wheels.package)

    def noted(record: RoundRecord) -> None:
        on_round(record)
        if record.round == settings.get("dieAfter"):
            raise DiedError

    async with listening(Api(coordinator, sites, wheels), CoordinatorListener(port=settings["port"])):
        tell("listening")
        await coordinator.train(noted)
        np.savez(Path(settings["folder"], "result.npz"), **coordinator.arrays)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    sys.path.insert(0, given["root"])
    try:
        asyncio.run(coordinate(given, _say, lambda record: _say(f"record {record.model_dump_json()}")))
    except DiedError:
        os._exit(9)
