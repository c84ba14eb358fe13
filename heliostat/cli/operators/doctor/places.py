"""Gathers whether what `up` writes to can be written, and whether the ports that a config fixes are free."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from heliostat.cli.operators import probes
from heliostat.cli.operators.doctor import tools
from heliostat.cli.operators.doctor.facts import Bucket, FixedPort, Folder
from heliostat.cli.operators.health import Health, PartHealth
from heliostat.cli.session import Place
from heliostat.engine.errors import EngineError
from heliostat.platforms.stores import address_of
from heliostat.spec.cluster_requirements import problems
from heliostat.spec.platforms.declared import Platform
from heliostat.spec.platforms.kubernetes import KubernetesPlatform
from heliostat.spec.platforms.local import LocalPlatform
from heliostat.spec.platforms.ray import RayPlatform
from heliostat.spec.platforms.requirements import requirements_of
from heliostat.spec.platforms.stores import Store
from heliostat.systems import ports as claims
from heliostat.systems import processes
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.kubernetes_survey import survey
from heliostat.systems.objects import ObjectMissingError, open_bucket

_STORE_SECONDS = 15.0


def folder(what: str, place: Path) -> Folder:
    """Look whether a folder can be written, or made where it is not there."""
    there = tools.nearest(place)
    if not there.is_dir():
        return Folder(what, str(place), f"{there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        return Folder(what, str(place), f"user {os.getuid()} may not write to {there}")
    return Folder(what, str(place))


def state(place: Place) -> tuple[Folder, ...]:
    """The place of the stacks' state; none outside a project."""
    if place.project is None:
        return ()
    try:
        backend = place.backend
        url = backend.bucket.url
        if url.startswith("file://"):
            return (folder("state", Path(backend.bucket.describe("")).expanduser()),)
        backend.bucket.list(".pulumi/stacks")  # a bucket of which nobody knows but by asking
        return (Folder("state", url),)
    except EngineError as error:
        return (Folder("state", place.environment.get("PULUMI_BACKEND_URL") or place.project.backend_url, str(error)),)


def runtime() -> Folder:
    """The short folder for sockets, which has to be this user's own."""
    named = os.environ.get("HELIOSTAT_RUNTIME_DIR")
    path = Path(named) if named else Path(tempfile.gettempdir(), f"heliostat-{os.getuid()}")
    if not path.exists():
        return folder("sockets", path)
    try:
        processes.runtime_root()
    except PermanentError as error:
        return Folder("sockets", str(path), str(error))
    return Folder("sockets", str(path))


def ports(platform: Platform | None, data: Path) -> tuple[FixedPort, ...]:
    """The ports of this machine that the config fixes, and who is there."""
    if not isinstance(platform, (LocalPlatform, RayPlatform)):
        return ()
    fixed = [(FixedPort("platform.publicPort", platform.public_port or 0), "controller", ("public", "haproxy"))]
    if isinstance(platform, LocalPlatform):
        fixed += [
            (FixedPort("platform.tracking.port", platform.tracking.port or 0), "mlflow", ("mlflow", "mlflow")),
            (FixedPort("platform.ray.dashboardPort", platform.ray.dashboard_port or 0), "ray", ("dashboard", "head")),
        ]
    else:
        api = FixedPort("platform.controller.apiPort", platform.controller.api_port or 0)
        fixed.append((api, "controller", ("api", "controller")))
    return tuple(_looked_at(one, data / folder, *names) for one, folder, names in fixed if one.port)


def existing(platform: Platform | None) -> tuple[PartHealth, ...]:
    """Ask what the config says is there already."""
    if isinstance(platform, KubernetesPlatform):
        return (_cluster(platform),)
    if not isinstance(platform, RayPlatform):
        return ()
    ray, mlflow = platform.ray, platform.tracking
    asked = (
        ("ray", ray.url, lambda: probes.ray(ray, None)),
        ("mlflow", mlflow.uri, lambda: probes.mlflow(mlflow.uri, mlflow.access)),
    )

    async def ask() -> tuple[PartHealth, ...]:
        return tuple(await asyncio.gather(*(probes.ask(each) for each in asked)))

    return asyncio.run(ask())


def _cluster(platform: KubernetesPlatform) -> PartHealth:
    """Look whether the cluster that the config names has what the platform needs, and lets this user make the rest."""
    wanted = requirements_of(platform)
    named = f"the context {platform.context}" if platform.context else "the current context"
    try:
        found = survey(wanted)
    except (PermanentError, RetryableError) as error:
        return PartHealth("kubernetes", named, Health.DOWN, detail=str(error))
    if wrong := problems(found, wanted):
        return PartHealth("kubernetes", named, Health.UNFIT, found.version, "; ".join(wrong))
    return PartHealth("kubernetes", named, Health.OK, found.version)


def _looked_at(fixed: FixedPort, directory: Path, claim: str, service: str) -> FixedPort:
    """With who listens there; `claim` and `service` are what the port is for in a part's data folder."""
    ours = claims.known(directory, claim) == fixed.port and processes.find(directory, service) is not None
    return replace(fixed, holder=claims.holder(fixed.port) or "", ours=ours)


def bucket(declared: Store) -> Bucket | None:
    """Look whether the bucket that the config names can be used with the credentials of this shell; None for a folder."""
    address = address_of(declared, Path("/"))
    store = open_bucket(address)
    if store is None:
        return None
    place = f"{address.uri} at {address.endpoint}" if address.endpoint else address.uri
    try:
        return Bucket(place, clock_skew=_skew(asyncio.run(probes.in_thread(store.look, _STORE_SECONDS))))
    except ObjectMissingError:
        return Bucket(place, missing=True)
    except TimeoutError:
        return Bucket(place, f"no answer within {_STORE_SECONDS:g} s")
    except (PermanentError, RetryableError) as error:
        return Bucket(place, str(error))


def _skew(server_time: datetime | None) -> float | None:
    return time.time() - server_time.timestamp() if server_time else None
