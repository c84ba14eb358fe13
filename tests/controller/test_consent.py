"""Requests that were answered and not kept, as Prometheus is told of them."""

from __future__ import annotations

from typing import ClassVar

import pytest
from fake_cluster import CountingReplicas
from rollouts_in_memory import World, quick
from test_controller import bring, desired

from heliostat.spec.personal import ConsentByHeader, Privacy

__all__ = ["quick"]
NAME = "heliostat_requests_without_consent_total"


class Replicas(CountingReplicas):
    """Replicas that count."""

    path = "/-/privacy"
    said: ClassVar = {"asked": 5, "withoutConsent": 3}


@pytest.mark.parametrize(("privacy", "told"), [(Privacy(consent=ConsentByHeader()), 3.0), (Privacy(), None), (None, None)])
async def test_only_where_consent_is_asked_for_replicas_are_asked_and_one_that_is_gone_is_left_out(tmp_path, privacy, told):
    cluster = Replicas(tmp_path)
    async with cluster.running() as client:
        declared = desired(1)
        version = declared.version.model_copy(update={"privacy": privacy})
        await bring(client, declared.model_copy(update={"version": version}))
        world = World(cluster, client)
        found = {name: value for name, value in (await world.metrics()).items() if name[0] == NAME}
        assert set(found.values()) == ({told} if told is not None else set())
        assert all(name[1] == "flights" for name in found)
        cluster.there = False
        assert not [name for name in await world.metrics() if name[0] == NAME]
