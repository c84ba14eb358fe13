"""From a group of nodes to a cloud's machines: what is chosen, what is refused, and that what a refusal suggests is taken."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from heliostat.spec.accelerators import Group
from heliostat.spec.machines import (
    GROUP_LABEL,
    Cloud,
    NoSuchMachineError,
    Pool,
    mistakes,
    pool_of,
    taints_of,
    tpus,
    worker_groups,
    worker_shape,
)
from heliostat.spec.machines.allocatable import cpus_for_a_worker, gib_for_a_worker
from heliostat.spec.machines.catalog import catalog, region_of, regions_of, zones_of

GROUPS: TypeAdapter[Group] = TypeAdapter(Group)
FRANKFURT = ("eu-central-1a", "eu-central-1b")
IOWA = ("us-central1-a",)
CLOUDS: tuple[Cloud, ...] = ("aws", "gcp")


def group(kind: str, **said: Any) -> Group:
    return GROUPS.validate_python({"kind": kind, "max": 2, **said})


def frankfurt(kind: str, **said: Any) -> Pool:
    return pool_of("aws", group(kind, **said), "eu-central-1", FRANKFURT)


def iowa(kind: str, **said: Any) -> Pool:
    return pool_of("gcp", group(kind, **said), "us-central1", IOWA)


def refusal(cloud: Cloud, region: str, zones: tuple[str, ...], kind: str, **said: Any) -> NoSuchMachineError:
    with pytest.raises(NoSuchMachineError) as refused:
        pool_of(cloud, group(kind, **said), region, zones)
    return refused.value


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_machine_of_a_catalog_is_whole(cloud: Cloud) -> None:
    found = catalog(cloud)
    assert found.source and found.date
    for offer in found.offers:
        machine = offer.machine
        assert machine.vcpus > 0 and machine.memory_gib > 0 and offer.pods > 0 and offer.zones, machine
        assert (machine.accelerator is None) == (machine.accelerators == 0), machine
    sizes = [(offer.machine.vcpus, offer.machine.memory_gib) for offer in found.offers]
    assert sizes == sorted(sizes), "the first that is large enough is the smallest"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_worker_gets_most_of_a_machine_and_less_than_all(cloud: Cloud) -> None:
    for offer in catalog(cloud).offers:
        machine = offer.machine
        cpus, gib = cpus_for_a_worker(cloud, machine), gib_for_a_worker(cloud, machine, offer.pods)
        assert machine.vcpus / 2 - 1 <= cpus < machine.vcpus, machine
        assert machine.memory_gib / 2 - 2 <= gib < machine.memory_gib, machine


def test_every_gpu_is_called_as_ray_calls_it() -> None:
    accelerators = pytest.importorskip("ray.util.accelerators.accelerators")
    known = {value for name, value in vars(accelerators).items() if name.isupper()}
    for cloud in CLOUDS:
        named = {offer.machine.accelerator for offer in catalog(cloud).offers} - set(tpus.GENERATIONS) - {None}
        assert named and named <= known


@pytest.mark.parametrize("generation", tpus.GENERATIONS)
def test_every_topology_is_whole_hosts_of_a_machine_that_there_is_and_ray_s_own(generation: str) -> None:
    ray = pytest.importorskip("ray.util.tpu")
    legal = pytest.importorskip("ray._private.accelerators.tpu")
    kind = tpus.GENERATIONS[generation]
    machines = {offer.machine.accelerators for offer in catalog("gcp").with_accelerator(generation)}
    for topology in tpus.topologies(generation):
        chips, hosts = tpus.chips_of(topology), tpus.hosts_of(generation, topology)
        assert hosts * tpus.chips_of_a_host(generation, topology) == chips
        assert tpus.chips_of_a_host(generation, topology) in machines
        assert ray.get_tpu_worker_resources(topology, kind.ray_type) == (hosts, {"CPU": 1, "TPU": chips // hosts})
        assert legal.TPUAcceleratorManager.is_valid_tpu_accelerator_topology(kind.ray_name, topology)
        assert legal.infer_tpu_pod_type_from_topology(topology, kind.ray_name) == tpus.pod_type(generation, topology)


@pytest.mark.parametrize(
    ("said", "machine", "zones"),
    [
        ({"kind": "gpu", "type": "A10G"}, "g5.xlarge", FRANKFURT),
        ({"kind": "gpu", "type": "A10G", "count": 4}, "g5.12xlarge", FRANKFURT),
        ({"kind": "gpu", "type": "A10G", "cpus": 12}, "g5.4xlarge", FRANKFURT),
        ({"kind": "gpu", "type": "L4", "memory_gib": 100}, "gr6.4xlarge", FRANKFURT),
        ({"kind": "gpu", "type": "A100-80G", "count": 8, "spot": True}, "p4de.24xlarge", FRANKFURT[:1]),
        ({"kind": "cpu", "cpus": 3, "memory_gib": 12}, "m7i.xlarge", FRANKFURT),
        ({"kind": "cpu", "cpus": 4, "memory_gib": 16}, "m7i.2xlarge", FRANKFURT),
    ],
)
def test_the_smallest_machine_that_is_large_enough_is_chosen(
    said: dict[str, Any], machine: str, zones: tuple[str, ...]
) -> None:
    pool = frankfurt(**said)
    assert (pool.machine.name, pool.zones, pool.hosts) == (machine, zones, 1)


def test_a_gpu_beside_a_machine_of_any_size_is_told_by_the_machine_and_the_count() -> None:
    pool = iowa("gpu", type="T4", count=2)
    assert (pool.machine.name, pool.machine.accelerators, pool.accelerator_type) == ("n1-standard-8", 2, "nvidia-tesla-t4")


def test_a_slice_is_hosts_that_come_and_go_together() -> None:
    pool = iowa("tpu", type="v6e", topology="4x4")
    assert (pool.machine.name, pool.hosts, pool.topology) == ("ct6e-standard-4t", 4, "4x4")
    assert pool.sizes(1, 3) == ((4, 4), (0, 4), (0, 4)), "a node pool is one slice"
    single = iowa("tpu", type="v6e", topology="2x4")
    assert (single.machine.name, single.hosts, single.sizes(0, 3)) == ("ct6e-standard-8t", 1, ((0, 3),))


def test_a_count_that_no_machine_has_is_refused_with_those_that_there_are() -> None:
    error = refusal("aws", "eu-central-1", FRANKFURT, "gpu", type="A10G", count=3)
    assert (error.key, str(error).endswith("has 3 A10G: 1, 4 or 8 a node")) == ("count", True)


def test_a_region_without_a_gpu_is_refused_with_what_it_has_and_where_the_gpu_is() -> None:
    error = refusal("aws", "eu-south-1", ("eu-south-1a",), "gpu", type="A10G")
    assert error.key == "type"
    assert str(error).startswith("eu-south-1 has no A10G; there are: T4; A10G is in ap-east-1, ")


def test_a_zone_without_a_gpu_is_refused_with_the_zones_that_have_it() -> None:
    error = refusal("gcp", "us-central1", ("us-central1-f",), "gpu", type="L4")
    assert "us-central1-a, us-central1-b, us-central1-c have" in str(error)


@pytest.mark.parametrize(("cloud", "type_"), [("aws", "A100"), ("gcp", "A10G")])
def test_a_gpu_that_a_cloud_does_not_have_is_refused_with_those_that_it_has(cloud: Cloud, type_: str) -> None:
    region = "us-east-1" if cloud == "aws" else "us-central1"
    error = refusal(cloud, region, tuple(zones_of(cloud, region)), "gpu", type=type_)
    assert "there are: A100-40G, A100-80G" in str(error)


@pytest.mark.parametrize(("cloud", "kind", "told"), [("gcp", "gpu", "`kind: tpu`"), ("aws", "tpu", "no TPUs")])
def test_a_tpu_is_asked_for_as_one_where_there_are_any(cloud: Cloud, kind: str, told: str) -> None:
    region = "us-east-1" if cloud == "aws" else "us-central1"
    said = {"topology": "2x2"} if kind == "tpu" else {}
    assert told in str(refusal(cloud, region, tuple(zones_of(cloud, region)), kind, type="v6e", **said))


def test_an_unknown_topology_is_refused_with_near_ones() -> None:
    error = refusal("gcp", "us-central1", IOWA, "tpu", type="v6e", topology="4x5")
    assert (error.key, str(error)) == ("topology", "v6e has no topology 4x5; nearest are: 2x4, 4x4, 4x8")


def test_a_worker_that_is_larger_than_any_machine_is_refused_with_the_largest() -> None:
    error = refusal("gcp", "us-central1", IOWA, "cpu", cpus=400, memory_gib=16)
    assert "n2-highmem-128 leaves 127 CPUs and 821 GiB" in str(error)


def test_what_is_sold_as_spot_only_is_refused_on_demand() -> None:
    assert refusal("gcp", "us-central1", IOWA, "gpu", type="H100", count=2).key == "spot"
    assert iowa("gpu", type="H100", count=2, spot=True).machine.name == "a3-highgpu-2g"


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(sorted(tpus.GENERATIONS)), st.lists(st.integers(1, 40), min_size=2, max_size=3))
def test_the_topologies_that_a_refusal_suggests_are_taken(generation: str, dimensions: list[int]) -> None:
    topology = "x".join(map(str, dimensions))
    for suggested in tpus.near(generation, topology):
        region = "us-central2" if generation == "v4" else "us-east1"
        zones = tuple(zones_of("gcp", region))
        assert pool_of("gcp", group("tpu", type=generation, topology=suggested), region, zones).topology == suggested


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_counts_and_types_that_refusals_suggest_are_taken(cloud: Cloud) -> None:
    for region in regions_of(cloud):
        zones = tuple(zones_of(cloud, region))
        told = str(refusal(cloud, region, zones, "gpu", type="none"))
        types = re.findall(r"[A-Z][A-Z0-9-]*\d[A-Z0-9-]*", told.partition("there are: ")[2])
        for type_ in types:
            counts = str(refusal(cloud, region, zones, "gpu", type=type_, count=13))
            if "a node" not in counts:
                continue  # the region has none of this type, which is told by another text
            for count in re.findall(r"\d+", counts.partition(f"{type_}: ")[2]):
                assert pool_of(cloud, group("gpu", type=type_, count=int(count), spot=True), region, zones).zones


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 120), st.floats(1, 700))
def test_a_cpu_group_s_machine_leaves_a_worker_what_it_asks_for(cpus: int, gib: float) -> None:
    pool = iowa("cpu", cpus=cpus, memory_gib=gib)
    assert cpus_for_a_worker("gcp", pool.machine) >= cpus
    assert gib_for_a_worker("gcp", pool.machine, pool.pods) >= gib


def test_a_worker_of_gpus_has_a_node_s_rest_and_finds_its_node() -> None:
    shape = worker_shape(group("gpu", type="A10G", spot=True), frankfurt("gpu", type="A10G", spot=True), "a10g")
    assert (shape.cpus, shape.memory_gib, shape.resource, shape.resource_count, shape.hosts) == (3, 13, "nvidia.com/gpu", 1, 1)
    assert shape.node_selector == {GROUP_LABEL: "a10g", "eks.amazonaws.com/capacityType": "SPOT"}
    assert [each.manifest() for each in shape.tolerations] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]


def test_a_worker_of_a_slice_has_gke_s_labels_and_all_chips_of_its_host() -> None:
    asked = group("tpu", type="v6e", topology="4x4")
    shape = worker_shape(asked, iowa("tpu", type="v6e", topology="4x4"), "v6e")
    assert (shape.resource, shape.resource_count, shape.hosts, shape.cpus) == ("google.com/tpu", 4, 4, 178)
    assert shape.node_selector["cloud.google.com/gke-tpu-accelerator"] == "tpu-v6e-slice"
    assert shape.node_selector["cloud.google.com/gke-tpu-topology"] == "4x4"
    anywhere = worker_shape(asked, None, "v6e")
    assert (anywhere.cpus, anywhere.memory_gib) == (shape.cpus, shape.memory_gib), "TPUs are GKE's, whoever made the cluster"
    assert GROUP_LABEL not in anywhere.node_selector


def test_ray_s_autoscaler_reads_a_group_s_resources_as_they_are_written() -> None:
    reading = pytest.importorskip("ray.autoscaler._private.kuberay.autoscaling_config")
    shape = worker_shape(group("gpu", type="A100-80G", cpus=4, memory_gib=8), None, "big")
    assert shape.ray_resources == {"accelerator_type:A100-80G": 1, "heliostat-group:big": 1}
    assert reading._get_custom_resources({}, dict(shape.ray_start_params), "big") == shape.ray_resources
    assert json.loads(json.loads(shape.ray_start_params["resources"])) == shape.ray_resources, "a shell takes the quotes away"


def test_a_group_of_gpus_in_a_cluster_that_exists_says_how_large_a_worker_is() -> None:
    with pytest.raises(ValueError, match="`cpus` and `memoryGib`"):
        worker_shape(group("gpu", type="H100"), None)


def test_nodes_without_accelerators_are_kept_for_their_group_and_gke_keeps_its_own_with_them() -> None:
    cpu, gpu = group("cpu", cpus=3, memory_gib=12), group("gpu", type="L4")
    assert [each.key for each in taints_of("few", cpu, iowa("cpu", cpus=3, memory_gib=12))] == [GROUP_LABEL]
    assert taints_of("l4", gpu, iowa("gpu", type="L4")) == ()
    assert [each.key for each in taints_of("a10g", group("gpu", type="A10G"), frankfurt("gpu", type="A10G"))] == [
        "nvidia.com/gpu"
    ]
    for pool, asked in ((iowa("gpu", type="L4"), gpu), (iowa("cpu", cpus=3, memory_gib=12), cpu)):
        keys = {each.key for each in worker_shape(asked, pool, "g").tolerations}
        assert {taint.key for taint in taints_of("g", asked, pool)} <= keys


def test_what_a_platform_tells_of_a_group_is_what_a_worker_has() -> None:
    groups = {"v6e": group("tpu", type="v6e", topology="4x4"), "few": group("cpu", cpus=3, memory_gib=12)}
    pools = {"v6e": iowa("tpu", type="v6e", topology="4x4"), "few": iowa("cpu", cpus=3, memory_gib=12)}
    told = {name: each.model_dump(by_alias=True, exclude_none=True) for name, each in worker_groups(groups, pools).items()}
    here = {"cloud": "gcp", "region": "us-central1", "spot": False, "besideCount": 0}
    assert told == {
        "v6e": {
            "kind": "tpu", "cpus": 178, "memoryGib": 683.0, "accelerator": "TPU-V6E", "accelerators": 4, "topology": "4x4",
            "hosts": 4, "max": 2, "machine": {**here, "name": "ct6e-standard-4t"},
        },
        "few": {
            "kind": "cpu", "cpus": 3, "memoryGib": 12.0, "accelerators": 0, "hosts": 1, "max": 2,
            "machine": {**here, "name": pools["few"].machine.name},
        },
    }  # fmt: skip


def test_all_that_is_wrong_with_a_platform_s_groups_is_told_at_once_with_its_place() -> None:
    groups = {"headgroup": group("gpu", type="B200"), "own": group("cpu", cpus=1, memory_gib=1, node_selector={"a": "b"})}
    told = dict(mistakes("aws", "eu-central-1", ["eu-west-1a", "eu-central-1a"], groups))
    assert set(told) == {
        ("network", "zones", 0),
        ("groups", "headgroup"),
        ("groups", "headgroup", "type"),
        ("groups", "own", "nodeSelector"),
    }
    assert list(mistakes("aws", "eu-central-1", FRANKFURT, {"a10g": group("gpu", type="A10G")})) == []


def test_a_region_that_there_is_not_is_refused_with_near_ones() -> None:
    [(path, text)] = mistakes("gcp", "europe-west44", [], {})
    assert path == ("region",) and "europe-west4" in text


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_zone_is_of_its_region(cloud: Cloud) -> None:
    for region in regions_of(cloud):
        assert {region_of(cloud, zone) for zone in zones_of(cloud, region)} == {region}
