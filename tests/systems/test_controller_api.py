"""The controller's API from the outside: which no is final, and how a rollout is followed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from heliostat.spec.addresses import ControllerAddress, TokenFile
from heliostat.spec.rollouts import ActionRequest, Phase, RollbackRequest, Rollout, RolloutEvent, Status
from heliostat.spec.strategies import BlueGreen
from heliostat.systems import controller_api
from heliostat.systems.controller_api import ConflictError, ControllerClient, OtherReleaseError
from heliostat.systems.errors import PermanentError, RetryableError


def client(directory: Path, answer: Callable[[httpx.Request], httpx.Response]) -> ControllerClient:
    token = directory / "token"
    token.write_text("secret\n")
    address = ControllerAddress(url="http://controller", credential=TokenFile(path=str(token)))
    return ControllerClient(address, httpx.MockTransport(answer))


def status(phase: Phase, events: int = 1, weight: float = 0.1) -> Status:
    rollout = Rollout(
        number=1, phase=phase, started_at=1.0, from_version="1", to_version="2", strategy=BlueGreen(), candidate_weight=weight,
        events=tuple(RolloutEvent(number=n + 1, at=1.0, phase=phase, message="told") for n in range(events)),
    )  # fmt: skip
    return Status(name="flights", desired=None, serving=None, healthy_replicas=2, rollout=rollout, url="http://public")


def refusing(code: int, detail: str) -> Callable[[httpx.Request], httpx.Response]:
    return lambda call: httpx.Response(code, json={"detail": detail})


async def test_a_conflict_is_told_in_the_controllers_own_words(tmp_path: Path) -> None:
    with pytest.raises(ConflictError) as caught:
        await client(tmp_path, refusing(409, "nothing waits for an approval")).approve("flights", ActionRequest(by="ada"))
    assert str(caught.value) == "nothing waits for an approval"
    assert isinstance(caught.value, PermanentError)


async def test_what_is_wrong_stays_wrong_and_what_is_away_may_come_back(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="no application") as caught:
        await client(tmp_path, refusing(404, "no application 'boats' is declared")).rollback(
            "boats", RollbackRequest(by="ada")
        )
    assert not isinstance(caught.value, ConflictError)
    with pytest.raises(RetryableError, match="MLflow does not answer"):
        await client(tmp_path, refusing(503, "MLflow does not answer")).rollback("flights", RollbackRequest(by="ada"))


async def test_what_a_controller_does_not_know_is_said_to_be_of_another_release_with_the_fix(tmp_path: Path) -> None:
    found = client(tmp_path, refusing(422, "body.desired.version.runtime: Extra inputs are not permitted"))
    with pytest.raises(OtherReleaseError, match=r"http://controller is of another release.*version.runtime.*`heliostat up`"):
        await found.approve("flights", ActionRequest(by="ada"))


async def test_what_a_controller_knows_and_cannot_do_is_its_own_word(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="this platform has no affinity") as caught:
        await client(tmp_path, refusing(422, "this platform has no affinity")).approve("flights", ActionRequest(by="ada"))
    assert not isinstance(caught.value, OtherReleaseError)


async def test_a_word_is_said_with_the_token(tmp_path: Path) -> None:
    calls: list[httpx.Request] = []

    def answer(call: httpx.Request) -> httpx.Response:
        calls.append(call)
        return httpx.Response(200, json=status(Phase.WAITING).model_dump(mode="json"))

    await client(tmp_path, answer).abort("flights", ActionRequest(by="ada", reason="wrong branch", rollout=3))
    (call,) = calls
    assert call.url.path == "/v1/applications/flights/abort"
    assert call.headers["authorization"] == "Bearer secret"
    assert json.loads(call.content) == {"by": "ada", "reason": "wrong branch", "rollout": 3}, (
        "an older controller refuses what it does not know"
    )


async def test_what_is_not_there_is_none_or_nothing(tmp_path: Path) -> None:
    found = client(tmp_path, refusing(404, "no application"))
    assert await found.read("flights") is None
    assert await found.record("flights", 1) is None
    assert await found.rollouts("flights") == ()


async def test_a_rollout_is_followed_through_changes_without_events_and_a_restart_of_the_controller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller_api, "_AGAIN_SECONDS", 0.0)
    first = status(Phase.ANALYSING)
    told = [first, None, status(Phase.ANALYSING, weight=0.5), status(Phase.ANALYSING, weight=0.5), status(Phase.SUCCEEDED, 2)]

    def answer(call: httpx.Request) -> httpx.Response:
        found = told.pop(0)
        return httpx.Response(200, json=found.model_dump(mode="json")) if found is not None else httpx.Response(502)

    heard = [each async for each in client(tmp_path, answer).follow("flights", first)]
    assert [(each.rollout.phase, each.rollout.candidate_weight) for each in heard if each.rollout] == [
        (Phase.ANALYSING, 0.1), (Phase.ANALYSING, 0.5), (Phase.SUCCEEDED, 0.1),
    ]  # fmt: skip


async def test_a_controller_that_stays_away_ends_the_following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller_api, "_GRACE_SECONDS", 0.0)
    with pytest.raises(RetryableError):
        async for _ in client(tmp_path, refusing(502, "away")).follow("flights", status(Phase.ANALYSING)):
            pass
