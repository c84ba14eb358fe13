"""The watch over the keeper, which keeps watch over the controller: of the two, one at a time may die."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from heliostat.spec.controller import KEEPER_SERVICE
from heliostat.systems import proc, processes
from heliostat.systems.errors import PermanentError

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 5.0
_PAUSE_SECONDS = 0.25


async def watch_over_keeper(directory: Path) -> None:
    """Start the keeper again whenever it ends; one that was stopped, or never started, is left alone."""
    while True:
        process = processes.find(directory, KEEPER_SERVICE)
        if process is None:
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            await proc.exited(process, float("inf"))
            await asyncio.sleep(_PAUSE_SECONDS)
        try:
            if await asyncio.to_thread(processes.revive, directory, KEEPER_SERVICE) is not None:
                _log.warning("the keeper ended; it is started again")
        except PermanentError as error:
            _log.error("%s", error)
            await asyncio.sleep(_LOOK_SECONDS)
