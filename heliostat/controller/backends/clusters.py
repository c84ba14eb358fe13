"""Replicas on several clusters: new ones come to the one that the controller works on, and what runs elsewhere is left alone.

There are two while a platform is upgraded: applications move over by their own strategies, and the cluster that they leave is
forgotten once nothing of them is left there, or once it is gone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from heliostat.controller.backends.serving import Deployment, Deployments, Room, ServingBackend
from heliostat.rollout.clusters import onto
from heliostat.rollout.model import Colour, DeployColour, on_cluster
from heliostat.spec.addresses import RayAddress
from heliostat.spec.endpoints import backend_name
from heliostat.systems.errors import PermanentError, RetryableError

_log = logging.getLogger(__name__)

LOST_SECONDS = 10.0
"""How long a former cluster may be silent before what nobody hears of counts as gone."""
_READ_SECONDS = 2.0
"""How long a former cluster may take to answer: the others' applications wait with it."""
_AGAIN_SECONDS = 1.0

Key = tuple[str, Colour]


class Clusters:
    """A `ServingBackend` over one of each cluster."""

    def __init__(
        self,
        addresses: Sequence[RayAddress],
        open_cluster: Callable[[RayAddress], ServingBackend],
        keep: Callable[[tuple[RayAddress, ...]], bool],
    ) -> None:
        """`addresses` begins with the cluster to work on. `keep` writes down which there are; whether it could."""
        current, *former = addresses
        self._address = current
        self._current = open_cluster(current)
        self.capabilities = self._current.capabilities
        self._former = [_Former(each, open_cluster(each)) for each in former]
        self._keep = keep
        self._at: dict[Key, str] = {}
        """Where each colour was seen last, by the cluster's URL."""
        self._doubles: dict[str, frozenset[Key]] = {}
        """Colours of a former cluster that are on the current one too, by its URL."""

    @property
    def clusters(self) -> tuple[str, ...]:
        """The URLs of all, the one to work on first."""
        return (self._address.url, *(each.url for each in self._former))

    async def observe(self) -> Deployments:  # noqa: D102 - see ServingBackend
        looks = [asyncio.ensure_future(each.look()) for each in self._former]
        try:
            current = await self._current.observe()
            await asyncio.gather(*looks)
        finally:
            for look in looks:
                look.cancel()
        found = {self._address.url: dict(current.colours)}
        return self._merged(found | {each.url: each.colours for each in self._former})

    async def deploy(self, application: str, wanted: DeployColour) -> None:  # noqa: D102
        url = wanted.desired.cluster or self._address.url
        await self._of(url).deploy(application, replace(wanted, desired=onto(wanted.desired, "")))

    async def retire(self, application: str, colour: Colour) -> None:  # noqa: D102
        url = self._at.get((application, colour))
        backends = [self._of(url)] if url is not None else [self._current, *(each.backend for each in self._former)]
        for each in backends:
            await each.retire(application, colour)

    async def scale_workers(self, application: str, colour: Colour, replicas: int) -> None:  # noqa: D102
        url = self._at.get((application, colour), self._address.url)
        await self._of(url).scale_workers(application, colour, replicas)

    async def room(self, application: str) -> Room | None:  # noqa: D102
        return await self._current.room(application)

    async def prepare(self) -> None:  # noqa: D102
        await self._current.prepare()

    async def release(self, needed: frozenset[str]) -> None:
        """Forget the former clusters that nothing is left on, or nobody hears of, and that are not `needed`."""
        for each in [each for each in self._former if each.url not in needed]:
            await self._sweep(each)
            if each.answers and each.colours:
                continue
            if not each.answers and each.silent_seconds < LOST_SECONDS:
                continue
            left = [other for other in self._former if other is not each]
            if self._keep((self._address, *(other.address for other in left))):
                self._former = left
                _log.info("%s: %s", each.url, "nothing is left there" if each.answers else "it does not answer any more")
                await each.close()

    async def close(self) -> None:  # noqa: D102
        for each in self._former:
            await each.close()
        await self._current.close()

    def _of(self, url: str) -> ServingBackend:
        if url == self._address.url:
            return self._current
        for each in self._former:
            if each.url == url:
                return each.backend
        raise PermanentError(f"the cluster {url} is forgotten: the controller works on {self._address.url}")

    def _merged(self, found: dict[str, dict[Key, Deployment]]) -> Deployments:
        """All colours as if on one cluster: of two of the same name that of the cluster to work on."""
        merged = dict[Key, Deployment]()
        self._at, self._doubles = {}, {}
        for url, colours in found.items():
            self._doubles[url] = frozenset(colours.keys() & merged.keys())
            for key, each in colours.items():
                if key not in merged:
                    merged[key] = replace(each, identity=each.identity and on_cluster(each.identity, url))
                    self._at[key] = url
        silent = {each.url: each.silent_seconds for each in self._former if not each.answers}
        return Deployments(merged, silent)

    async def _sweep(self, former: _Former) -> None:
        """Take away what came back with a cluster that counted as gone, and is on another one by now: nobody asks it."""
        for application, colour in sorted(self._doubles.get(former.url, ())):
            try:
                await former.backend.retire(application, colour)
            except (RetryableError, PermanentError) as error:
                _log.info("%s at %s: %s", backend_name(application, colour), former.url, error)


class _Former:
    """A cluster that was worked on before. Nobody waits for one that was silent the last time."""

    def __init__(self, address: RayAddress, backend: ServingBackend) -> None:
        self.address = address
        self.backend = backend
        self._seen: dict[Key, Deployment] = {}
        self.answers = True
        self._silent_since = 0.0
        self._search: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return self.address.url

    @property
    def silent_seconds(self) -> float:
        """For how long it has not answered."""
        return 0.0 if self.answers else time.monotonic() - self._silent_since

    @property
    def colours(self) -> dict[Key, Deployment]:
        """What runs there, as far as anybody knows: nothing, of a cluster that has been silent for long."""
        return self._seen if self.silent_seconds < LOST_SECONDS else {}

    async def look(self) -> None:
        """Find out what runs there."""
        if self.answers:
            await self._read()
        elif self._search is None or self._search.done():
            self._search = asyncio.create_task(self._until_it_answers())

    async def close(self) -> None:
        if self._search is not None:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)
        await self.backend.close()

    async def _until_it_answers(self) -> None:
        while not self.answers:
            await asyncio.sleep(_AGAIN_SECONDS)
            await self._read()

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                self._seen = dict((await self.backend.observe()).colours)
        except (RetryableError, PermanentError, TimeoutError) as error:
            if self.answers:
                self._silent_since = time.monotonic()
                text = str(error) or f"no answer within {_READ_SECONDS:g} s"
                _log.warning("the former cluster %s: %s; what serves there stays as it is", self.url, text)
            self.answers = False
        else:
            if not self.answers:
                _log.info("the former cluster %s answers again", self.url)
            self.answers = True
