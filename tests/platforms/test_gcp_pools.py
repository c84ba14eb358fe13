"""From groups of nodes to GKE's node pools."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.platforms.gcp.naming import LONGEST_POOL, prefix_of
from heliostat.platforms.gcp.pools import NodePool, Scale, cloud_pools, node_pools
from heliostat.spec.machines import GROUP_LABEL
from heliostat.spec.platforms.gcp import GcpPlatform
from tests.platforms.gcp_specs import spec_of


def pools_of(**changes: Any) -> dict[str, NodePool]:
    spec = spec_of(**changes)
    return {pool.name: pool for pool in node_pools(spec, cloud_pools(spec))}


def tpu(**changes: Any) -> dict[str, Any]:
    return {"v6e": {"kind": "tpu", "type": "v6e", "topology": "4x4", "max": 3, **changes}}


def test_every_slice_of_several_hosts_is_a_pool_that_comes_and_goes_whole() -> None:
    found = pools_of(groups=tpu())
    slices = [found[f"v6e-{number}"] for number in range(3)]
    assert set(found) == {"system", "v6e-0", "v6e-1", "v6e-2"}
    assert {each.scale for each in slices} == {Scale(0, 4, at_once=True)}
    assert {(each.topology, each.machine, len(each.zones)) for each in slices} == {("4x4", "ct6e-standard-4t", 1)}
    assert {each.labels[GROUP_LABEL] for each in slices if each.labels} == {"v6e"}


def test_slices_that_stay_have_all_their_hosts_and_nothing_that_scales_them() -> None:
    found = pools_of(groups=tpu(min=2))
    assert [found[f"v6e-{number}"].scale.by_demand for number in range(3)] == [False, False, True]
    assert [found[f"v6e-{number}"].scale.least for number in range(3)] == [4, 4, 0]


def test_more_slices_leave_those_that_there_are_as_they_are() -> None:
    few, many = pools_of(groups=tpu()), pools_of(groups=tpu(max=5))
    assert {name: many[name] for name in few} == few
    assert set(many) - set(few) == {"v6e-3", "v6e-4"}


def test_slices_of_one_host_are_nodes_of_one_pool() -> None:
    found = pools_of(groups=tpu(topology="2x2"))
    assert found["v6e"].scale == Scale(0, 3)
    assert found["v6e"].topology is None


def test_a_gpu_s_pool_has_the_driver_s_name_of_it_and_its_count() -> None:
    found = pools_of(groups={"l4": {"kind": "gpu", "type": "L4", "max": 4, "spot": True}})["l4"]
    assert (found.gpu, found.spot, found.scale) == (("nvidia-l4", 1), True, Scale(0, 4))
    assert found.taints == ()


def test_workers_without_accelerators_keep_other_pods_off_their_nodes() -> None:
    assert [each.key for each in pools_of()["cpu"].taints] == [GROUP_LABEL]


def test_a_pool_is_where_its_machines_are() -> None:
    found = pools_of(zones=["europe-west4-a", "europe-west4-b"], groups=tpu())
    assert {found[f"v6e-{number}"].zones for number in range(3)} == {("europe-west4-a",)}
    assert found["system"].zones == ("europe-west4-a", "europe-west4-b")


def test_a_group_called_as_a_slice_or_as_the_system_s_pool_is_refused() -> None:
    cpu = {"kind": "cpu", "cpus": 4, "memoryGib": 8, "max": 1}
    with pytest.raises(ValueError, match=r"called system.*called v6e-1"):
        pools_of(groups={**tpu(), "v6e-1": cpu, "system": cpu})


def test_a_pool_s_name_that_is_too_long_is_refused() -> None:
    name = "v" * (LONGEST_POOL - 1)
    with pytest.raises(ValueError, match=f"{name}-0 has a name of 33 characters, and 32"):
        pools_of(groups={name: tpu()["v6e"]})


def test_slices_of_several_hosts_ask_for_the_operator_that_tells_them_of_each_other() -> None:
    with pytest.raises(ValueError, match=r"slices of v6e have several hosts.*set operator.install to false"):
        pools_of(groups=tpu(), operator={"install": True})
    assert set(pools_of(groups=tpu(topology="2x2"), operator={"install": True})) == {"system", "v6e"}


def test_more_nodes_than_addresses_are_refused() -> None:
    with pytest.raises(ValueError, match="may be 1002 nodes, and the network has room for 256"):
        pools_of(network={"podsCidr": "10.16.0.0/16"}, groups={"cpu": {"kind": "cpu", "cpus": 4, "memoryGib": 8, "max": 1000}})


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 4))
def test_a_pool_begins_with_no_more_nodes_than_it_may_have(least: int, more: int, zones: int) -> None:
    scale = Scale(least, least + more)
    assert 0 <= scale.initial(zones) * zones <= scale.most


def test_names_begin_with_the_stack_s_unless_the_config_says_otherwise() -> None:
    assert prefix_of(spec_of(), "prod") == "heliostat-prod"
    assert prefix_of(spec_of(name="ml"), "prod") == "ml"


@pytest.mark.parametrize("stack", ["Prod", "a-branch-with-a-long-name", "b_1", "prod-"])
def test_a_stack_whose_name_cannot_begin_others_is_told_what_to_say(stack: str) -> None:
    with pytest.raises(ValueError, match=f"heliostat-{stack} cannot begin.*Say `name`"):
        prefix_of(spec_of(), stack)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"zones": ["europe-west4-a", "europe-west1-b"]}, "europe-west1-b not in europe-west4"),
        ({"zones": ["europe-west4-a", "europe-west4-a"]}, "names one twice"),
        ({"bucket": "goog-models"}, "Google Cloud keeps to itself"),
        ({"network": {"cidr": "10.16.0.0/20"}}, "ranges overlap: cidr and podsCidr"),
        ({"network": {"cidr": "10.0.0.1/20"}}, "has host bits set"),
        ({"network": {"controlPlaneCidr": "172.16.0.0/27"}}, "/28"),
        ({"gke": {"publicEndpointCidrs": ["0.0.0.0/0"]}}, "nearly everybody"),
        ({"name": "a-name-of-more-than-22-x"}, "name"),
    ],
)
def test_what_google_cloud_would_refuse_is_refused_where_it_is_written(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        spec_of(**changes)


def test_a_spec_is_one_of_the_config_s_platforms() -> None:
    assert isinstance(spec_of(), GcpPlatform)
