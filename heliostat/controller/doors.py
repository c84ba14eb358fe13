"""Who is let in to the controller's API."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Callable

from fastapi import HTTPException, Request, status

from heliostat.controller.relaying import speaker
from heliostat.controller.traffic_api import PREFIX
from heliostat.spec.addresses import ControllerAddress
from heliostat.spec.roles import STACK, AccessPolicy, Identity, identity_of
from heliostat.systems.errors import PermanentError, RetryableError


class Door:
    """Lets in who has the token. One that is changed where it is kept counts from the first call that carries it."""

    def __init__(self, token: str, read_again: Callable[[str], str] = lambda refused: refused) -> None:
        """`read_again` reads the token where it is kept, given the one that was refused."""
        self._token, self._read_again, self._lock = token, read_again, asyncio.Lock()

    async def lets_in(self, given: str) -> bool:
        """Whether a header is the right one."""
        if self._fits(given):
            return True
        if given:
            async with self._lock:
                with contextlib.suppress(RetryableError, PermanentError):
                    self._token = await asyncio.to_thread(self._read_again, self._token)
        return self._fits(given)

    def _fits(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode())


class Guard:
    """Lets in by one door as the stack, by another one to what agents of the traffic plane ask, and people by their tokens."""

    def __init__(
        self, door: Door, agents_door: Door | None = None, policy: Callable[[], AccessPolicy | None] = lambda: None
    ) -> None:
        """`policy`: who may do what; None where nobody said, and the stack's own token is good for everything."""
        self._door, self._agents_door, self._policy = door, agents_door, policy

    async def __call__(self, request: Request) -> None:
        """Note who it is, or raise 401 for who is not let in."""
        # A Kubernetes API server, as a way here, keeps Authorization to itself.
        given = request.headers.get("authorization") or request.headers.get(ControllerAddress.proxied_header, "")
        of_agents = self._agents_door is not None and request.url.path.startswith(PREFIX)
        if of_agents and self._agents_door is not None and await self._agents_door.lets_in(given):
            request.state.identity = Identity(name="an agent of the traffic plane", known=True, roles=())
            return
        policy = self._policy() or AccessPolicy()
        person = identity_of(policy, given.removeprefix("Bearer ")) if given.startswith("Bearer ") else None
        if person is not None:
            request.state.identity = speaker(request, policy, person)
            return
        if not await self._door.lets_in(given):
            raise HTTPException(status.HTTP_401_UNAUTHORIZED, "the token is missing or wrong", {"WWW-Authenticate": "Bearer"})
        request.state.identity = speaker(request, policy, Identity(name=STACK, known=False, roles=policy.stack_token))
