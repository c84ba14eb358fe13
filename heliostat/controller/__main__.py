"""`python -m heliostat.controller --directory DIR`: started by the Controller resource, resident until it is stopped.

With `--flush SECONDS` it does not stay: it writes what the ledger was not told yet, says as one line of JSON how many entries
still wait, why, and in which file, and ends. The folder of a controller that was killed may hold some.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import FrameType

import httpx
import uvicorn
from filelock import FileLock, Timeout
from pydantic import ValidationError

from heliostat.controller.api import create_app
from heliostat.controller.backends.clusters import Clusters
from heliostat.controller.backends.fleet import FleetRouter
from heliostat.controller.backends.haproxy import plane_of
from heliostat.controller.backends.ray_serve import RayServe
from heliostat.controller.backends.routing import TrafficRouter
from heliostat.controller.backends.serving import ServingBackend
from heliostat.controller.doors import Door
from heliostat.controller.keeping import watch_over_keeper
from heliostat.controller.ledger import Backlog, Ledger
from heliostat.controller.moving import known_clusters
from heliostat.controller.reconciler import Reconciler
from heliostat.controller.review_retention import ReviewRetention
from heliostat.controller.schedules import Schedules
from heliostat.controller.store import FILE, Store
from heliostat.controller.task_queues import TaskQueues
from heliostat.controller.worker_scaling import WorkerScaling
from heliostat.spec.addresses import RayAddress
from heliostat.spec.controller import SETTINGS_FILE, ControllerSettings, TrafficPlane
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.http import read_token
from heliostat.systems.objects import open_store
from heliostat.systems.ray_jobs import RayJobs
from heliostat.systems.ray_serve import ServeClient
from heliostat.traffic.haproxy import HAProxyRouter

_log = logging.getLogger("heliostat.controller")
_GRACE_SECONDS = 1
"""For calls of the API that are on their way at the end."""
_AWAY_SECONDS = 1.0
"""Between attempts to start Serve while the cluster does not answer."""
_FLUSH_SECONDS = 4.0
"""For the ledger at the end: whoever stops this program waits for 10 s."""


def main() -> None:
    """Run until SIGTERM; HAProxy goes on."""
    parser = argparse.ArgumentParser(prog="heliostat.controller", description=__doc__)
    parser.add_argument(
        "--directory", type=Path, required=True, help="data folder; has settings.json and the token by default"
    )
    parser.add_argument("--settings", type=Path, metavar="FILE", help="another file of settings, as one that is mounted")
    parser.add_argument("--flush", type=float, metavar="SECONDS", help="only write what the ledger was not told yet")
    arguments = parser.parse_args()
    directory: Path = arguments.directory
    file: Path = arguments.settings or directory / SETTINGS_FILE
    stream = sys.stdout if arguments.flush is None else sys.stderr
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=stream)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("filelock").setLevel(logging.WARNING)
    try:
        with FileLock(directory / "controller.lock", timeout=0):
            if arguments.flush is not None:
                sys.stdout.write(json.dumps(asdict(flush(directory, arguments.flush, file))) + "\n")
                sys.stdout.flush()
                # A thread may hang in a store that does not answer; nothing of this is worth waiting for.
                os._exit(0)
            settings = load(file)
            if arguments.settings and settings.directory != directory:
                raise PermanentError(
                    f"{file} is for the data folder {settings.directory}, not for {directory}: name one of them"
                )
            asyncio.run(serve(settings, token_of(settings)))
    except Timeout:
        sys.exit(f"another controller runs in {directory}: stop it first")
    except (PermanentError, RetryableError) as error:
        sys.exit(str(error))


def load(path: Path) -> ControllerSettings:
    """The settings in a file.

    Raises:
        PermanentError: they are missing or wrong.
    """
    try:
        return ControllerSettings.model_validate_json(path.read_text())
    except OSError as error:
        raise PermanentError(f"the settings {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise PermanentError(f"the settings {path} are wrong: {error}") from None


def token_of(settings: ControllerSettings) -> str:
    """Read the token that every call must carry.

    Raises:
        PermanentError: it is missing or empty, and anybody could call.
    """
    try:
        return read_token(settings.address)
    except RetryableError as error:
        raise PermanentError(str(error)) from None


def flush(directory: Path, seconds: float, file: Path) -> Backlog:
    """What the ledger was not told yet, after `seconds` at most were spent on telling it; `file` has the settings.

    Raises:
        PermanentError: the settings or the database cannot be read.
    """
    path = directory / FILE
    if not path.exists():
        return Backlog(0)
    store = Store(directory)
    waiting = store.count_waiting() + store.audits.waiting()
    if not waiting:
        return Backlog(0)
    settings = load(file)
    try:
        ledger = Ledger(store, open_store(settings.inputs.store))
    except (PermanentError, RetryableError) as error:
        return Backlog(waiting, str(error), str(path))
    return replace(asyncio.new_event_loop().run_until_complete(ledger.finish(seconds)), file=str(path))


async def serve(settings: ControllerSettings, token: str) -> None:
    """HAProxy first, so that clients are answered while the rest starts; then the API and the loop."""
    store = Store(settings.directory)
    fleet = settings.traffic_plane is TrafficPlane.FLEET
    traffic: TrafficRouter = FleetRouter(store) if fleet else HAProxyRouter(plane_of(settings), store)
    await traffic.adopt()
    backend = clusters_of(store, settings)
    async with httpx.AsyncClient() as replicas:
        ledger = Ledger(store, open_store(settings.inputs.store))
        reconciler = Reconciler(store, backend, traffic, replicas, settings, ledger)
        again = partial(read_token, settings.address)
        queues = TaskQueues(reconciler)
        app = create_app(reconciler, token, settings.public_url, again, agents_door(settings), queues)
        config = uvicorn.Config(
            app,
            host=settings.listen or settings.inputs.host,
            port=settings.api_port,
            log_level="warning",
            access_log=False,
            # Clients that wait for news come again.
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        server = _Server(config, traffic)
        # The server raises the signal that ended it once more, and that would be the end of all that is done at the end.
        signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
        # What is loaded by now stays; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        _log.info("API on %s, clients on %s", settings.address.url, settings.public_url)
        schedules = Schedules(open_store(settings.inputs.store), settings.inputs.store, partial(RayJobs, settings.inputs.ray))
        beside = [reconciler.run(), traffic.supervise(reconciler.wake), ledger.run(), schedules.run()]
        beside += [WorkerScaling(reconciler, queues).run(), ReviewRetention(reconciler).run()]
        if not fleet:
            beside.append(watch_over_keeper(settings.directory))
        if not reconciler.states:
            beside.append(prepare(backend))
        tasks = [asyncio.create_task(each) for each in beside]
        try:
            await server.serve()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            _, backlog = await asyncio.gather(reconciler.close(), ledger.finish(_FLUSH_SECONDS))
            if backlog.waiting:
                _log.warning("%s entries wait for the ledger until the next start: %s", backlog.waiting, backlog.error)
            await backend.close()
            store.close()


def clusters_of(store: Store, settings: ControllerSettings) -> Clusters:
    """The clusters that applications are on, and come to."""

    def open_cluster(address: RayAddress) -> RayServe:
        inputs = settings.inputs.model_copy(update={"ray": address})
        return RayServe(ServeClient(address, settings.serve_port), settings.model_copy(update={"inputs": inputs}))

    def keep(clusters: tuple[RayAddress, ...]) -> bool:
        return store.faults.attempt(lambda: store.save_clusters(clusters))

    return Clusters(known_clusters(store, settings), open_cluster, keep)


class _Server(uvicorn.Server):
    """One that ends without waiting for agents that wait for news."""

    def __init__(self, config: uvicorn.Config, traffic: TrafficRouter) -> None:
        super().__init__(config)
        self._traffic = traffic

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if isinstance(self._traffic, FleetRouter):
            self._traffic.close()
        super().handle_exit(sig, frame)


def agents_door(settings: ControllerSettings) -> Door | None:
    """What lets in the agents of a traffic plane; None where they have the token of all.

    Raises:
        PermanentError: the token is missing or empty.
    """
    if settings.agents_credential is None:
        return None
    address = settings.address.model_copy(update={"credential": settings.agents_credential})
    try:
        return Door(read_token(address), partial(read_token, address))
    except RetryableError as error:
        raise PermanentError(f"the agents' token: {error}") from None


async def prepare(backend: ServingBackend) -> None:
    """Have the backend run before there is anything to serve, while data are read and a model is trained.

    Not where something is declared: a Serve that just comes back does not say what it has, and would be told to have nothing.
    """
    while True:
        try:
            await backend.prepare()
            return
        except RetryableError:
            await asyncio.sleep(_AWAY_SECONDS)
        except PermanentError as error:
            _log.warning("%s", error)
            return


if __name__ == "__main__":
    main()
