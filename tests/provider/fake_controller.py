"""A controller that remembers, over HTTP, whose rollouts go as a test tells them: one step of the story at each long poll."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from heliostat.rollout.refusals import as_judged, entry_of
from heliostat.spec.addresses import ControllerAddress, TokenFile
from heliostat.spec.rollouts import (
    BlockedVersion,
    Declaration,
    Desired,
    Health,
    Phase,
    Plan,
    Rollout,
    RolloutEvent,
    Status,
    Version,
)
from heliostat.systems import controller_api

SERVES = (Phase.RETAINING, Phase.RETIRING, Phase.SUCCEEDED)
URL = "http://controller"
RAY_URL = "http://127.0.0.1:8265"


class FakeController:
    """One application. `story` is what its rollouts do next: changes of `Rollout`, an event made of each."""

    def __init__(self, directory: Path) -> None:
        (directory / "token").write_text("t")
        self.address = ControllerAddress(url=URL, credential=TokenFile(path=str(directory / "token")))
        self.declared: list[Declaration] = []
        self.planned: list[Declaration] = []
        self.plan = Plan(changes=False, lines=())
        self.story: list[dict[str, Any]] = []
        self.desired: Desired | None = None
        self.serving: Version | None = None
        self.rollout: Rollout | None = None
        self.refused: list[BlockedVersion] = []
        self.holds_against = True
        self.healthy = 2
        self.groups: dict[str, int] = {}
        self.unknown: str | None = None
        """What it says that a declaration has too much, as a controller of an earlier release does."""
        self.lookers = asyncio.Event()

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer t"
        if request.url.path == "/v1/health":
            return _ok(
                Health(version="1", haproxy=True, ray=True, ray_url=RAY_URL, groups=self.groups, public_url="http://public")
            )
        found = re.fullmatch(r"/v1/applications/flights(/\w+)?", request.url.path)
        assert found, request.url.path
        if self.unknown is not None and request.method in ("POST", "PUT"):
            return httpx.Response(422, json={"detail": f"{self.unknown}: Extra inputs are not permitted"})
        match request.method, found.group(1):
            case "POST", "/plan":
                self.planned.append(Declaration.model_validate_json(request.content))
                return _ok(self.plan)
            case "PUT", None:
                return self._declare(Declaration.model_validate_json(request.content))
            case "GET", "/wait":
                self.lookers.set()
                await self._go_on()
            case "DELETE", None:
                self.desired = self.serving = self.rollout = None
        return _ok(self.status) if self.desired is not None else httpx.Response(404, json={"detail": "unknown"})

    @property
    def status(self) -> Status:
        return Status(
            name="flights", desired=self.desired, serving=self.serving, healthy_replicas=self.healthy, rollout=self.rollout,
            refused=tuple(self.refused), url="http://public/flights",
        )  # fmt: skip

    def _declare(self, declaration: Declaration) -> httpx.Response:
        desired = declaration.desired
        known = next((each for each in self.refused if each.fingerprint == as_judged(desired)), None)
        if known is not None and not declaration.retry_refused:
            return httpx.Response(409, json={"detail": f"{known.label} was rolled back: {known.reason}; --retry-refused"})
        self.declared.append(declaration)
        on_its_way = self.rollout is not None and self.rollout.phase not in controller_api.ENDS
        again = self.desired == desired and on_its_way
        self.desired = desired
        if self.serving is not None and self.serving.digest == desired.version.digest:
            self.serving = desired.version
        elif not again:
            self._begin(declaration)
        return _ok(self.status)

    def _begin(self, declaration: Declaration) -> None:
        desired = declaration.desired
        self.rollout = Rollout(
            number=self.rollout.number + 1 if self.rollout is not None else 1,
            phase=Phase.STARTING,
            started_at=1.0,
            from_version=self.serving.label if self.serving is not None else None,
            to_version=desired.version.label,
            strategy=desired.strategy,
            candidate_weight=0.0,
            events=(RolloutEvent(number=1, at=1.0, phase=Phase.STARTING, message="starts"),),
            origin=declaration.origin,
        )

    async def _go_on(self) -> None:
        if not self.story:
            await asyncio.sleep(0.005)
            return
        assert self.rollout is not None
        assert self.desired is not None
        changes = {"message": "", **self.story.pop(0)}
        phase, message = changes.get("phase", self.rollout.phase), changes.pop("message")
        event = RolloutEvent(number=len(self.rollout.events) + 1, at=2.0, phase=phase, message=message or str(phase))
        events = self.rollout.events if changes.pop("silent", False) else (*self.rollout.events, event)
        self.rollout = self.rollout.model_copy(update={"events": events, **changes})
        if phase in SERVES:
            self.serving = self.desired.version
        if phase is Phase.FAILED and self.holds_against:
            reason = (self.rollout.error or "").partition("\n")[0]
            number = self.rollout.number
            self.refused.insert(0, entry_of(self.desired, number, 3.0, reason))


def fingerprint(desired: Desired) -> str:
    return sha256(desired.model_dump_json().encode()).hexdigest()


def _ok(found: Any) -> httpx.Response:
    return httpx.Response(200, json=json.loads(found.model_dump_json()))


@pytest.fixture
def controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeController]:
    found = FakeController(tmp_path)
    make = controller_api.httpx.AsyncClient

    def client(**arguments: Any) -> Any:
        return make(**arguments | {"transport": found.transport}) if arguments.get("base_url") == URL else make(**arguments)

    monkeypatch.setattr(controller_api.httpx, "AsyncClient", client)
    yield found
