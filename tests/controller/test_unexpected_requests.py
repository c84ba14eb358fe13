"""Requests that were not as a data set's schema expects, as Prometheus is told of them."""

from __future__ import annotations

from typing import ClassVar

import pytest
from fake_cluster import CountingReplicas
from rollouts_in_memory import World, quick
from test_controller import bring, desired

from heliostat.spec.expectations import Expectations, ExpectedField

__all__ = ["quick"]
NAME = "heliostat_requests_unexpected_total"


class Replicas(CountingReplicas):
    """Replicas that count."""

    path = "/-/expectations"
    said: ClassVar = {"counts": [{"field": "size", "expectation": "minimum", "requests": 3}]}


@pytest.mark.parametrize(
    ("expectations", "told"), [(Expectations(columns={"size": ExpectedField(type="double")}), 3.0), (None, None)]
)
async def test_only_where_requests_are_held_to_a_schema_replicas_are_asked(tmp_path, expectations, told):
    cluster = Replicas(tmp_path)
    async with cluster.running() as client:
        declared = desired(1)
        version = declared.version.model_copy(update={"expectations": expectations})
        await bring(client, declared.model_copy(update={"version": version}))
        world = World(cluster, client)
        found = {name: value for name, value in (await world.metrics()).items() if name[0] == NAME}
        assert set(found.values()) == ({told} if told is not None else set())
        assert all({"flights", "size", "minimum"} <= {*name} for name in found)
        cluster.there = False
        assert not [name for name in await world.metrics() if name[0] == NAME]
