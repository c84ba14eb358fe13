"""What a controller works on has to be there, let it in, and be of a release that it can work with."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Awaitable

from heliostat.provider.records import open_registry
from heliostat.spec.addresses import ControllerAddress, KubernetesSecret, RayAddress
from heliostat.spec.platform_resources import ControllerInputs
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError
from heliostat.systems.http import read_token
from heliostat.systems.loopback import is_loopback
from heliostat.systems.objects import open_store
from heliostat.systems.ray_capacity import read_nodes, read_version
from heliostat.systems.ray_serve import ServeClient, host_of_replicas

_OLDEST_MLFLOW = 3
_SECONDS = 10.0


async def unanswered(inputs: ControllerInputs) -> list[str]:
    """See that the cluster, the registry and the object store can be used; why those that do not answer now do not.

    Raises:
        PermanentError: some cannot be used as they are; the text says of each why, and what to do.
    """
    found = await _errors(_ray(inputs), _mlflow(inputs), _store(inputs), _token(inputs))
    return [str(each) for each in found]


async def _errors(*asked: Awaitable[object]) -> list[RetryableError]:
    """What may pass of all that goes wrong.

    Raises:
        NoAccessError: some will not, all of them since nothing lets this process in.
        PermanentError: some will not; the text has all of it.
    """
    found = await asyncio.gather(*asked, return_exceptions=True)
    wrong = [each for each in found if isinstance(each, PermanentError)]
    if wrong:
        kind = NoAccessError if all(isinstance(each, NoAccessError) for each in wrong) else PermanentError
        raise kind("; ".join(dict.fromkeys(map(str, wrong))))
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, RetryableError):
            raise each
    return [each for each in found if isinstance(each, RetryableError)]


def ray_problem(url: str, runs: str, installed: str) -> str | None:
    """What is wrong with a cluster's release of Ray; None where it is the one that is installed here. Pure."""
    if not runs or _minor(runs) == _minor(installed):
        return None
    wanted = f"{'.'.join(_minor(installed))}.*"
    return f"Ray at {url} is {runs}, and heliostat here works with {wanted}: install ray[serve,train]=={wanted} on its nodes"


def serve_problem(url: str, host: str) -> str | None:
    """What is wrong with where a Serve that runs has its replicas listen; None where it does not run. Pure."""
    if not host or is_loopback(url) or not is_loopback(f"http://{host}"):
        return None
    return (
        f"Serve of Ray at {url} has its replicas listen on {host} of their nodes, where no other machine reaches them: run "
        f"`serve shutdown` there, and the next `up` starts it on {host_of_replicas(url)}"
    )


def mlflow_problem(uri: str, runs: str) -> str | None:
    """What is wrong with a server's release of MLflow. Pure."""
    major = runs.partition(".")[0]
    if not major.isdigit() or int(major) >= _OLDEST_MLFLOW:
        return None
    return f"MLflow at {uri} is {runs}, and {_OLDEST_MLFLOW}.0 is the oldest that works: its models have no ids of their own"


async def _ray(inputs: ControllerInputs) -> None:
    # The version is told to everybody, the nodes only to who is let in.
    ray = inputs.ray
    for each in await _errors(_version(ray.model_copy(update={"credential": None}) if ray.proxy else ray), read_nodes(ray)):
        raise each
    if not is_loopback(inputs.ray.url):
        await _serve(inputs.ray)


async def _version(ray: RayAddress) -> None:
    if problem := ray_problem(ray.url, await read_version(ray), importlib.metadata.version("ray")):
        raise PermanentError(problem)


async def _serve(ray: RayAddress) -> None:
    client = ServeClient(ray, serve_port=0)
    try:
        host = (await client.read()).host
    finally:
        await client.close()
    if problem := serve_problem(ray.url, host):
        raise PermanentError(problem)


async def _mlflow(inputs: ControllerInputs) -> None:
    def ask() -> str:
        with open_registry(inputs, _SECONDS) as registry:
            runs = registry.server_version()
            registry.require_database()
            return runs

    if problem := mlflow_problem(inputs.tracking_uri, await asyncio.to_thread(ask)):
        raise PermanentError(problem)


async def _token(inputs: ControllerInputs) -> None:
    """Look for the token of the controller to be, where that is one that somebody keeps."""
    if isinstance(inputs.credential, KubernetesSecret):
        address = ControllerAddress(url=f"http://{inputs.host}", credential=inputs.credential)
        await asyncio.to_thread(read_token, address)


async def _store(inputs: ControllerInputs) -> None:
    # Whether there is an object does not say whether there is a bucket.
    await asyncio.to_thread(lambda: next(iter(open_store(inputs.store).list("ledger/")), None))


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])
