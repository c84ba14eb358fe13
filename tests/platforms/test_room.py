"""What always runs in a cluster has its place on the system's nodes, wherever the scheduler puts it."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.platforms.room import Room, free_nodes, too_little
from heliostat.spec.platforms.gcp import GcpPlatform
from tests.platforms.gcp_specs import section

NODE = Room(3.5, 13)


def spec(**changes: Any) -> GcpPlatform:
    return GcpPlatform.model_validate(section(**changes))


def test_every_way_in_which_other_pods_may_be_spread_is_thought_of() -> None:
    large, small, asked = Room(2, 8), Room(1, 2), Room(1, 2)
    assert free_nodes(NODE, 2, [small, small], asked) == 2
    assert free_nodes(NODE, 2, [large, small], asked) == 1, "both may be on one node"
    assert free_nodes(NODE, 3, [large, small], asked) == 2


def test_where_the_other_parts_have_no_place_themselves_there_is_none_left() -> None:
    assert free_nodes(NODE, 1, [Room(2, 8), Room(2, 8)], Room(1, 2)) == 0


def test_memory_counts_as_cpus_do() -> None:
    assert free_nodes(NODE, 2, [Room(0.5, 12)], Room(1, 2)) == 1


@pytest.mark.parametrize("zones", [("a",), ("a", "b"), ("a", "b", "c")])
def test_the_nodes_that_there_are_by_default_are_enough_in_any_number_of_zones(zones: tuple[str, ...]) -> None:
    found = spec(zones=[f"europe-west4-{zone}" for zone in zones])
    assert found.system_nodes == max(2, len(zones))
    assert too_little("gcp", found.gke.system_machine, found.system_nodes, found) == []


def test_too_few_nodes_are_told_with_what_there_may_be_room_for() -> None:
    found = spec(gke={"systemNodes": 1, "systemMachine": "e2-standard-4"})
    assert found.system_nodes == 2
    [said] = too_little("gcp", found.gke.system_machine, found.system_nodes, found)
    assert said.startswith("traffic.pods: 2 of them are to be on nodes of their own")
    assert "2 nodes of e2-standard-4 may have room for 0" in said


def test_more_pods_of_the_traffic_plane_than_nodes_are_told() -> None:
    found = spec(traffic={"pods": 3})
    [said] = too_little("gcp", found.gke.system_machine, found.system_nodes, found)
    assert said.startswith("traffic.pods: 3 of them are to be on nodes of their own, and beside the other parts 2 nodes of")


def test_every_part_that_no_node_can_hold_is_told() -> None:
    found = spec(ray={"cpus": 6}, mlflow={"memoryGib": 20})
    ray, mlflow = too_little("gcp", "e2-standard-4", 4, found)
    assert ray.startswith("ray: its pod asks for 6.5 CPUs and 8.5 GiB, and a node of e2-standard-4 has 3.42 CPUs and 12 GiB:")
    assert mlflow.startswith("mlflow: its pod asks for 1 CPUs and 20 GiB")


def test_a_redis_of_somebody_elses_takes_no_room() -> None:
    pods = {"ray": {"cpus": 1.4, "memoryGib": 6}, "mlflow": {"cpus": 0.2, "memoryGib": 1}, "controller": {"cpus": 0.3}}
    assert too_little("gcp", "e2-standard-4", 2, spec(**pods)) != []
    assert too_little("gcp", "e2-standard-4", 2, spec(**pods, redis={"address": "redis://10.0.0.1:6379"})) == []


def test_a_machine_that_nobody_knows_is_let_be() -> None:
    assert too_little("gcp", "x9-new-4", 1, spec()) == []
