"""What the world refuses for good is told as it is, and not as something to be tried again."""

from __future__ import annotations

import pytest
from rollouts_in_memory import World, quick, world
from test_controller import bring, desired

from heliostat.controller import changes, reconciler
from heliostat.spec.rollouts import RollbackRequest
from heliostat.systems.controller_api import ConflictError
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import ObjectStore
from heliostat.systems.ray_serve import ServeInstance

__all__ = ["quick", "world"]


async def test_a_rollback_that_the_object_store_refuses_says_why(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> ObjectStore:
        raise PermanentError("s3://models refused ListObjects: AccessDenied; give this user s3:ListBucket")

    await bring(world.client, desired(2))
    await world.entries()
    monkeypatch.setattr(changes, "open_store", refuses)
    for call in (world.client.way_back("flights"), world.client.rollback("flights", RollbackRequest(by="ada"))):
        with pytest.raises(ConflictError, match="AccessDenied; give this user"):
            await call


async def test_a_cluster_that_refuses_counts_as_away_and_its_reason_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse() -> ServeInstance:
        raise PermanentError("Ray Serve refused the GET (403): wrong token")

    monkeypatch.setattr(reconciler, "AWAY_SECONDS", 0.02)
    monkeypatch.setattr(changes, "_LOOK_SECONDS", 0.3)
    monkeypatch.setattr(world.cluster.serve, "read", refuse)
    world.cluster.reconciler._observer.expire()
    with pytest.raises(RetryableError, match=r"has not answered for 0.3 s \(.*\(403\): wrong token"):
        await world.declare(2)
    assert not (await world.client.health()).ray
    assert world.cluster.traffic.shares == {"flights": 0}
