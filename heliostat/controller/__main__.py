"""`python -m heliostat.controller --directory DIR`: started by the Controller resource, resident until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import sys
from pathlib import Path

import httpx
import uvicorn
from filelock import FileLock, Timeout
from pydantic import ValidationError

from heliostat.controller.api import create_app
from heliostat.controller.ledger import Ledger
from heliostat.controller.reconciler import Reconciler
from heliostat.controller.store import Store
from heliostat.controller.traffic import Traffic
from heliostat.spec.controller import SETTINGS_FILE, TOKEN_FILE, ControllerSettings
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import open_store
from heliostat.systems.ray_serve import ServeClient

_log = logging.getLogger("heliostat.controller")


def main() -> None:
    """Run until SIGTERM; HAProxy goes on."""
    parser = argparse.ArgumentParser(prog="heliostat.controller", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="data folder, with settings.json and the token")
    directory: Path = parser.parse_args().directory
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("filelock").setLevel(logging.WARNING)
    try:
        with FileLock(directory / "controller.lock", timeout=0):
            asyncio.run(serve(load(directory), token_of(directory)))
    except Timeout:
        sys.exit(f"another controller runs in {directory}: stop it first")
    except (PermanentError, RetryableError) as error:
        sys.exit(str(error))


def load(directory: Path) -> ControllerSettings:
    """The settings.

    Raises:
        PermanentError: they are missing or wrong.
    """
    path = directory / SETTINGS_FILE
    try:
        return ControllerSettings.model_validate_json(path.read_text())
    except OSError as error:
        raise PermanentError(f"the settings {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise PermanentError(f"the settings {path} are wrong: {error}") from None


def token_of(directory: Path) -> str:
    """The token that every call must carry.

    Raises:
        PermanentError: it is missing or empty, and anybody could call.
    """
    path = directory / TOKEN_FILE
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise PermanentError(f"the token {path} cannot be read: {error.strerror}") from None
    if not token:
        raise PermanentError(f"the token {path} is empty")
    return token


async def serve(settings: ControllerSettings, token: str) -> None:
    """HAProxy first, so that clients are answered while the rest starts; then the API and the loop."""
    store = Store(settings.directory)
    traffic = Traffic(settings, store)
    await traffic.adopt()
    client = ServeClient(settings.inputs.ray, settings.serve_port)
    async with httpx.AsyncClient() as replicas:
        ledger = Ledger(store, open_store(settings.inputs.store))
        reconciler = Reconciler(store, client, traffic, replicas, settings, ledger)
        app = create_app(reconciler, token, settings.public_url)
        config = uvicorn.Config(app, host="127.0.0.1", port=settings.api_port, log_level="warning", access_log=False)
        server = uvicorn.Server(config)
        # What is loaded by now stays; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        _log.info("API on 127.0.0.1:%s, clients on 127.0.0.1:%s", settings.api_port, settings.public_port)
        beside = (reconciler.run(), traffic.supervise(reconciler.wake), ledger.run())
        tasks = [asyncio.create_task(each) for each in beside]
        try:
            await server.serve()
        finally:
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await reconciler.close()
            await client.close()
            store.close()


if __name__ == "__main__":
    main()
