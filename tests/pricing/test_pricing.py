"""What a plan costs by list: each resource that costs, what is not known, and the difference."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from heliostat.cli.display.digest import DigestDisplay
from heliostat.cli.display.plain import PlainDisplay
from heliostat.cli.display.pricing import PlannedPrice, document, lines
from heliostat.cli.display.report import Look
from heliostat.engine.events import Op, StepStarted, Summary
from heliostat.engine.masking import Masker
from heliostat.engine.state.snapshot import UNKNOWN, Resource, Secret
from heliostat.pricing import HOURS_A_MONTH, Declared, Estimate, compare, price
from heliostat.pricing.estimate import region_of
from heliostat.pricing.kubernetes import gib_of
from heliostat.pricing.tables import Cloud, table
from heliostat.spec.machines.catalog import catalog

VIRGINIA = Declared("pulumi:providers:aws", "aws", {"region": "us-east-1"})
IOWA = Declared("pulumi:providers:gcp", "gcp", {"region": "us-central1"})
CLOUDS: tuple[Cloud, ...] = ("aws", "gcp")


def node_group(machine: str = "g5.xlarge", least: int = 0, most: int = 4, **more: Any) -> Declared:
    scaling = {"minSize": least, "maxSize": most, "desiredSize": least}
    return Declared("aws:eks/nodeGroup:NodeGroup", "a10g", {"instanceTypes": [machine], "scalingConfig": scaling, **more})


def node_pool(machine: str, config: dict[str, Any] | None = None, **inputs: Any) -> Declared:
    node_config = {"machineType": machine, "diskType": "pd-ssd", "diskSizeGb": 100, **(config or {})}
    return Declared("gcp:container/nodePool:NodePool", "pool", {"nodeConfig": node_config, **inputs})


def cost(*resources: Declared) -> tuple[float, float]:
    estimate = price(resources)
    assert estimate.unknown == (), estimate.unknown
    return estimate.least(), estimate.most()


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_table_says_where_its_prices_are_from_and_has_none_that_is_nothing(cloud: Cloud) -> None:
    prices = table(cloud)
    assert prices.sources and prices.date
    for region, machines in prices.machines.items():
        for name, (demand, spot) in machines.items():
            assert demand is None or demand > 0, (region, name)
            assert spot is None or (spot > 0 and (demand is None or spot < demand)), (region, name)


@pytest.mark.parametrize(
    ("cloud", "region", "without"),
    [
        ("aws", "us-east-1", {"p5e.48xlarge"}),
        ("gcp", "us-central1", {"a3-ultragpu-8g", "ct4p-hightpu-4t"}),
    ],
)
def test_the_machines_that_groups_are_made_of_have_a_price_where_the_tables_are_whole(
    cloud: Cloud, region: str, without: set[str]
) -> None:
    named = {offer.machine.name for offer in catalog(cloud).offers if not offer.machine.name.startswith("n2-highmem")}
    unpriced = {name for name in named if not any(table(cloud).machines[region].get(name, (None, None)))}
    assert unpriced == without


def test_a_node_group_costs_from_its_minimum_to_its_maximum() -> None:
    disk = 20 * 0.10 / HOURS_A_MONTH
    assert cost(VIRGINIA, node_group(least=1)) == pytest.approx((1.006 + disk, 4 * (1.006 + disk)))


def test_the_disks_of_a_node_group_are_those_of_the_launch_template_that_is_called_like_it() -> None:
    disk = {"deviceName": "/dev/xvda", "ebs": {"volumeSize": 73, "volumeType": "gp3"}}
    template = Declared("aws:ec2/launchTemplate:LaunchTemplate", "a10g", {"blockDeviceMappings": [disk]})
    group = node_group(least=1, most=1, launchTemplate={"id": UNKNOWN, "version": UNKNOWN})
    assert cost(VIRGINIA, template, group) == pytest.approx((1.006 + 0.008, 1.006 + 0.008))
    assert price([VIRGINIA, group]).unknown == ("disks of the nodes of a10g, which its launch template has",)
    other = replace(template, name="other")
    assert price([VIRGINIA, other, group]).unknown


def test_what_is_at_spot_is_told_apart() -> None:
    estimate = price([VIRGINIA, node_group(capacityType="SPOT"), node_group("m7i.xlarge", 1, 1)])
    assert (estimate.least(spot=True), estimate.most(spot=True)) == pytest.approx((0, 4 * 0.4824))
    assert estimate.most(spot=False) == pytest.approx(0.2016 + 5 * 20 * 0.10 / HOURS_A_MONTH)
    assert "0 to 4 g5.xlarge at spot" in estimate.items[0].what


@pytest.mark.parametrize(
    ("kind", "inputs", "hour"),
    [
        ("aws:eks/cluster:Cluster", {}, 0.10),
        ("aws:ec2/natGateway:NatGateway", {}, 0.045),
        ("aws:ec2/eip:Eip", {}, 0.005),
        ("aws:lb/loadBalancer:LoadBalancer", {}, 0.0225),
        ("aws:kms/key:Key", {}, 1 / HOURS_A_MONTH),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", {"vpcEndpointType": "Interface", "subnetIds": ["a", "b"]}, 0.02),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", {}, 0.0),
        ("aws:ebs/volume:Volume", {"size": 73, "type": "gp3"}, 0.008),
        ("aws:iam/role:Role", {}, 0.0),
        (
            "aws:rds/instance:Instance",
            {"instanceClass": "db.t4g.medium", "multiAz": True, "allocatedStorage": 73, "storageType": "gp3"},
            0.129 + 0.023,
        ),
        ("kubernetes:core/v1:Service", {"spec": {"type": "LoadBalancer"}}, 0.0225),
        ("kubernetes:core/v1:Service", {"spec": {"type": "ClusterIP"}}, 0.0),
        (
            "kubernetes:core/v1:PersistentVolumeClaim",
            {"spec": {"resources": {"requests": {"storage": "73Gi"}}}},
            0.008,
        ),
    ],
)
def test_each_resource_of_aws_costs_what_the_list_says(kind: str, inputs: dict[str, Any], hour: float) -> None:
    used = Declared("aws:iam/role:Role", "used", {})
    assert cost(VIRGINIA, used, Declared(kind, "it", inputs)) == pytest.approx((hour, hour))


@pytest.mark.parametrize(
    ("resource", "least", "most"),
    [
        (node_pool("ct6e-standard-4t", nodeCount=4), 4 * 10.8, 4 * 10.8),
        (node_pool("ct6e-standard-4t", {"spot": True}, nodeCount=1), 2.2914, 2.2914),
        (node_pool("g2-standard-4", autoscaling={"minNodeCount": 1, "maxNodeCount": 2}), 0.70683, 2 * 0.70683),
        (
            node_pool("e2-standard-4", autoscaling={"minNodeCount": 1, "maxNodeCount": 2}, nodeLocations=["a", "b", "c"]),
            3 * 0.13402,
            6 * 0.13402,
        ),
        (node_pool("e2-standard-4", autoscaling={"totalMinNodeCount": 1, "totalMaxNodeCount": 2}), 0.13402, 2 * 0.13402),
        (
            node_pool("n1-standard-8", {"guestAccelerators": [{"type": "nvidia-tesla-t4", "count": 2}]}, nodeCount=1),
            0.38 + 0.7,
            0.38 + 0.7,
        ),
        (
            node_pool("g2-standard-4", {"guestAccelerators": [{"type": "nvidia-l4", "count": 1}]}, nodeCount=1),
            0.70683,
            0.70683,
        ),
    ],
)
def test_a_node_pool_costs_by_its_nodes_in_all_zones(resource: Declared, least: float, most: float) -> None:
    estimate = price([IOWA, resource])
    machines = [item for item in estimate.items if item.what.startswith("node pool")]
    assert sum(item.least for item in machines) == pytest.approx(least, abs=1e-4)
    assert sum(item.most for item in machines) == pytest.approx(most, abs=1e-4)


def test_a_database_of_google_cloud_costs_by_cpu_memory_and_disk() -> None:
    settings = {"tier": "db-custom-2-7680", "availabilityType": "REGIONAL", "diskSize": 73}
    database = Declared("gcp:sql/databaseInstance:DatabaseInstance", "db", {"settings": settings})
    hour = 2 * 0.0826 + 7.5 * 10.22 / HOURS_A_MONTH + 0.034
    assert cost(IOWA, database) == pytest.approx((hour, hour))


@pytest.mark.parametrize(
    "resource",
    [
        node_group("x9.huge"),
        node_group(UNKNOWN),
        Declared("aws:eks/nodeGroup:NodeGroup", "n", {"instanceTypes": UNKNOWN, "scalingConfig": UNKNOWN}),
        Declared("aws:eks/nodeGroup:NodeGroup", "n", {"instanceTypes": ["g5.xlarge"]}),
        Declared("aws:rds/instance:Instance", "n", {"instanceClass": Secret("db.t4g.medium")}),
        Declared("aws:rds/instance:Instance", "n", {"instanceClass": "db.zz.micro"}),
        Declared("aws:ec2/vpcEndpoint:VpcEndpoint", "n", {"vpcEndpointType": "Interface", "subnetIds": UNKNOWN}),
    ],
)
def test_what_the_tables_or_the_plan_do_not_know_is_told_and_costs_nothing_in_the_sum(resource: Declared) -> None:
    estimate = price([VIRGINIA, resource])
    assert estimate.unknown
    assert not [item for item in estimate.items if "node group" in item.what or "database" in item.what]


def test_a_region_without_prices_is_not_another_one_s() -> None:
    far = Declared("pulumi:providers:aws", "aws", {"region": "sa-east-1"})
    estimate = price([far, node_group(), Declared("aws:ec2/natGateway:NatGateway", "n", {})])
    assert estimate.items == ()
    assert "node group a10g: 0 to 4 g5.xlarge in sa-east-1" in estimate.unknown


def test_a_region_is_the_resource_s_own_or_that_of_most() -> None:
    there = Declared("aws:ec2/subnet:Subnet", "s", {"availabilityZone": "eu-central-1a"})
    assert region_of("aws", [VIRGINIA, there, there]) == "eu-central-1"
    zone = Declared("gcp:container/nodePool:NodePool", "p", {"location": "us-east5-a"})
    assert region_of("gcp", [zone]) == "us-east5"
    assert region_of("gcp", [VIRGINIA]) is None
    moved = Declared("aws:eks/nodeGroup:NodeGroup", "a10g", {**node_group().inputs, "region": "eu-central-1"})
    assert price([VIRGINIA, moved]).items[0].most == pytest.approx(4 * 1.258, abs=1e-3)


def test_what_runs_in_somebody_else_s_cluster_costs_nothing() -> None:
    assert price([Declared("kubernetes:core/v1:Service", "s", {"spec": {"type": "LoadBalancer"}})]).is_empty


@pytest.mark.parametrize(("asked", "gib"), [("512Mi", 0.5), ("20Gi", 20), ("1Ti", 1024), ("20", None), (UNKNOWN, None)])
def test_a_claim_says_its_size_in_kubernetes_units(asked: str, gib: float | None) -> None:
    assert gib_of({"spec": {"resources": {"requests": {"storage": asked}}}}) == gib


def test_nothing_is_told_where_nothing_costs_anything() -> None:
    nothing = compare([], [Declared("heliostat:index:TrainJob", "flights", {})])
    assert lines(nothing) == [] and document(nothing) == {}
    assert Estimate().is_empty


def test_what_runs_in_somebody_else_s_cluster_is_said_to_have_no_price() -> None:
    planned = PlannedPrice([])
    assert planned.lines() == []
    planned.apply(StepStarted(urn(Declared("kubernetes:core/v1:Service", "s")), Op.CREATE, inputs={}))
    assert planned.lines() == [
        "none: nodes, volumes and load balancers are the cluster's, and no table says what they cost there"
    ]


def resource(declared: Declared) -> Resource:
    return Resource(urn=urn(declared), type=declared.type, custom=True, inputs=dict(declared.inputs))


def urn(declared: Declared) -> str:
    return f"urn:pulumi:aws::heliostat::{declared.type}::{declared.name}"


def test_a_preview_s_steps_make_the_difference() -> None:
    cluster, group = Declared("aws:eks/cluster:Cluster", "c", {}), node_group(least=1)
    gateway = Declared("aws:ec2/natGateway:NatGateway", "n", {})
    planned = PlannedPrice([resource(each) for each in (VIRGINIA, cluster, gateway)])
    planned.apply(StepStarted(urn(group), Op.CREATE, inputs=dict(group.inputs)))
    planned.apply(StepStarted(urn(cluster), Op.SAME, inputs={}))
    planned.apply(StepStarted(urn(gateway), Op.DELETE, inputs={}))
    found = planned.comparison()
    assert found.before.least() == pytest.approx(0.145)
    disk = 20 * 0.10 / HOURS_A_MONTH
    assert found.after.most() == pytest.approx(0.10 + 4 * (1.006 + disk))
    assert document(found)["after"]["hourAtMaximum"] == pytest.approx(4.13496)


def test_a_replacement_counts_once_and_what_is_not_planned_stays() -> None:
    group, cluster = node_group(least=1, most=1), Declared("aws:eks/cluster:Cluster", "c", {})
    planned = PlannedPrice([resource(each) for each in (VIRGINIA, group, cluster)])
    larger = node_group("g5.12xlarge", 1, 1)
    planned.apply(StepStarted(urn(group), Op.CREATE_REPLACEMENT, inputs=dict(larger.inputs)))
    planned.apply(StepStarted(urn(group), Op.DELETE_REPLACED, inputs=dict(group.inputs)))
    found = planned.comparison()
    assert found.after.least() - found.before.least() == pytest.approx(5.672 - 1.006)


def test_the_table_reads_as_people_read_it() -> None:
    spot = node_group(least=0, most=2, capacityType="SPOT")
    bucket = Declared("aws:s3/bucket:Bucket", "models", {})
    found = compare([], [VIRGINIA, spot, bucket, Declared("aws:eks/cluster:Cluster", "c", {}), node_group("x9.huge")])
    assert lines(found) == [
        "                     USD an hour  USD a month",
        "before                     0.000            0",
        "after             0.100 to 1.081    73 to 789",
        "difference      +0.100 to +1.081  +73 to +789",
        "of it, at spot    0.000 to 0.965     0 to 704",
        "from the groups' minimum to their maximum; a month is 730 hours",
        "by use, not in it: bucket models ($0.023 a GiB and month)",
        "not known, not in it: node group a10g: 0 to 4 x9.huge in us-east-1",
        "list prices of aws, 2026-07-20, without taxes and discounts",
    ]


def shown(preview: bool, before: list[Resource], *steps: StepStarted) -> str:
    console = Console(file=io.StringIO(), width=200, force_terminal=False, color_system=None)
    display = PlainDisplay(console, Look(preview))
    if preview:
        display.board.price = PlannedPrice(before)
    for step in steps:
        display(step)
    display.stop(Summary(True, {}, 1.0))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_a_preview_ends_with_its_price_and_an_update_does_not() -> None:
    cluster = Declared("aws:eks/cluster:Cluster", "c", {})
    step = StepStarted(urn(cluster), Op.CREATE)
    text = shown(True, [], step)
    assert "Price by list:\n" in text and "difference       +0.100          +73" in text
    assert text.index("Price by list:") < text.index("Resources:")
    assert "Price" not in shown(False, [], step)
    assert "Price" not in shown(True, [], StepStarted(urn(Declared("heliostat:index:Dataset", "d", {})), Op.CREATE))


def test_the_digest_has_each_item_and_where_its_price_is_from() -> None:
    written: list[str] = []
    display = DigestDisplay(written.append, {}, {}, Masker(), preview=True)
    display.board.price = PlannedPrice([])
    display(StepStarted(urn(node_group()), Op.CREATE, inputs={**node_group().inputs, "region": "us-east-1"}))
    display.stop(Summary(True, {}, 1.0))
    [found] = [json.loads(each)["price"] for each in written]
    assert found["before"]["hourAtMaximum"] == 0
    assert found["after"]["items"][0] == {
        "what": "node group a10g: 0 to 4 g5.xlarge", "hourAtMinimum": 0.0, "hourAtMaximum": 4.024, "spot": False,
    }  # fmt: skip
    assert "karpenter" in found["after"]["sources"][0]
