"""An answer that is missed now and then is no absence: patience must not begin anew with each."""

from __future__ import annotations

from itertools import count

import pytest

from heliostat.controller import observer
from heliostat.controller.backends.serving import Deployments
from heliostat.controller.observer import BackendObserver
from heliostat.systems.errors import PermanentError, RetryableError


class Flaky:
    """A backend, as long as it answers."""

    def __init__(self) -> None:
        self.answers = True

    async def observe(self) -> Deployments:
        if not self.answers:
            raise RetryableError("Serve is away")
        return Deployments()


async def since_after_a_miss() -> tuple[float, float]:
    serve, ticks = Flaky(), count(1.0)
    found = BackendObserver(serve, lambda: next(ticks))  # type: ignore[arg-type]
    assert await found.read() is not None
    before = found.since
    serve.answers = False
    found.expire()
    assert await found.read() is None
    assert not found.answers
    serve.answers = True
    found.expire()
    assert await found.read() is not None
    assert found.answers
    return before, found.since


async def test_a_blink_is_no_break() -> None:
    before, after = await since_after_a_miss()
    assert after == before


async def test_a_longer_absence_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "_BLINK_SECONDS", 0.0)
    before, after = await since_after_a_miss()
    assert after > before


async def test_a_refusal_is_an_absence_that_says_why(caplog: pytest.LogCaptureFixture) -> None:
    class Refusing:
        async def observe(self) -> Deployments:
            raise PermanentError("Ray Serve refused the GET (401): no token")

    found = BackendObserver(Refusing(), lambda: 1.0)  # type: ignore[arg-type]
    assert await found.read() is None
    assert not found.answers
    assert "refused the GET (401): no token; what serves stays as it is" in caplog.text
