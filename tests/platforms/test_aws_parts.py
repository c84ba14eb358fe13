"""What follows from names, addresses and groups before AWS is asked for anything."""

import ipaddress
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from heliostat.platforms.aws import policies
from heliostat.platforms.aws.names import Names
from heliostat.spec.accelerators import Group
from heliostat.spec.machines import pool_of, taints_of, worker_shape
from heliostat.spec.machines.catalog import regions_of, zones_of
from heliostat.spec.platforms.aws import ZONES, AwsPlatform
from heliostat.spec.stack import parse
from tests.platforms.aws_stack import PLATFORM

REGION = "eu-central-1"


def named(stack: str, region: str = REGION) -> Names:
    return Names.of(f"heliostat-{stack}", region, "123456789012")


@pytest.mark.parametrize(
    ("stack", "text"), [("a" * 40, "48 are the limit"), ("My_Stack", "small letters"), ("a--b", "hyphens")]
)
def test_a_stack_whose_name_aws_would_not_take_is_refused_with_the_limit(stack, text):
    with pytest.raises(ValueError, match=text):
        named(stack)


def test_every_name_fits_where_it_goes():
    names = named("a" * 38)
    assert len(names.base) == 48
    assert len(names.role("network-log")) <= 64
    assert len(names.role("controller")) <= 64
    assert len(f"{names.base}-last") <= 255


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_arns_are_of_the_part_of_aws_that_the_region_is_in(region, partition):
    assert named("dev", region).cluster_arn == f"arn:{partition}:eks:{region}:123456789012:cluster/heliostat-dev"
    assert named("dev", region).managed_policy("P") == f"arn:{partition}:iam::aws:policy/P"


@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "172.20.16.0/20"])
def test_the_networks_of_zones_lie_in_the_vpc_and_never_over_each_other(cidr):
    from heliostat.platforms.aws.network import addresses

    whole = ipaddress.IPv4Network(cidr)
    parts = [ipaddress.IPv4Network(each) for zone in ZONES for each in vars(addresses(cidr, f"{REGION}{zone}")).values()]
    assert len(parts) == 12
    assert all(part.subnet_of(whole) for part in parts)
    assert not any(one.overlaps(other) for index, one in enumerate(parts) for other in parts[:index])


def test_every_zone_that_may_be_named_has_its_part():
    zones = [zone for region in regions_of("aws") for zone in zones_of("aws", region)]
    assert len(zones) > 20
    assert {zone[-1] for zone in zones} <= set(ZONES)


@pytest.mark.parametrize("group", PLATFORM["groups"])
def test_workers_find_the_nodes_of_their_group_and_are_let_onto_them(group):
    from heliostat.platforms.aws.nodes import CAPACITY_LABEL, labels_of, template_of

    declared: Group = TypeAdapter[Group](Group).validate_python(PLATFORM["groups"][group])
    pool = pool_of("aws", declared, REGION, PLATFORM["network"]["zones"])
    shape, taints = worker_shape(declared, pool, group), taints_of(group, declared, pool)
    capacity = "SPOT" if declared.spot else "ON_DEMAND"
    labels = {**labels_of(group, pool), CAPACITY_LABEL: capacity}
    assert shape.node_selector.items() <= labels.items()
    assert {taint.key for taint in taints} <= {each.key for each in shape.tolerations}
    # An empty group has no node to look at: what a pod asks for has to be among its tags.
    told = template_of(pool, labels_of(group, pool), taints, capacity, 200)
    template = "k8s.io/cluster-autoscaler/node-template"
    assert {f"{template}/label/{key}": value for key, value in shape.node_selector.items()}.items() <= told.items()
    assert {f"{template}/taint/{each.key}": f"{each.value}:NoSchedule" for each in taints}.items() <= told.items()
    if shape.resource:
        assert told[f"{template}/resources/{shape.resource}"] == str(shape.resource_count)


def test_logs_are_encrypted_by_cloudwatch_for_this_platforms_groups_alone():
    account, logs = policies.cluster_key(named("dev"))["Statement"]
    assert account["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    groups = logs["Condition"]["ArnEquals"]["kms:EncryptionContext:aws:logs:arn"]
    assert "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/eks/heliostat-dev/cluster" in groups
    assert not any("*" in group for group in groups)


def test_the_autoscaler_sets_the_size_of_its_own_clusters_groups_alone():
    statement = policies.autoscaler(named("dev"))["Statement"][-1]
    assert statement["Condition"] == {"StringEquals": {"aws:ResourceTag/k8s.io/cluster-autoscaler/heliostat-dev": "owned"}}


def test_a_balancer_is_inside_unless_it_is_declared_outside():
    from heliostat.platforms.aws.underlay import balancer
    from heliostat.spec.platforms.cluster import TrafficPods

    inside = balancer(TrafficPods(service="LoadBalancer"), {"owner": "ml", "cost-centre": "cc"})
    key = "service.beta.kubernetes.io/aws-load-balancer"
    assert inside[f"{key}-internal"] == "true"
    assert inside[f"{key}-additional-resource-tags"] == "owner=ml,cost-centre=cc"
    assert f"{key}-internal" not in balancer(TrafficPods(service="LoadBalancer", internal=False), {})


def test_a_kubeconfig_holds_no_token():
    from heliostat.platforms.aws.cluster import kubeconfig

    (user,) = kubeconfig("c", REGION, "https://e", "Q0E=")["users"]
    assert user["user"].keys() == {"exec"}
    assert user["user"]["exec"]["args"] == ["--region", REGION, "eks", "get-token", "--cluster-name", "c", "--output", "json"]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"network": {"zones": ["eu-central-1a", "eu-central-1a"]}}, "named twice"),
        ({"network": {"zones": ["eu-central-1a"]}}, "at least 2"),
        ({"network": {"zones": ["eu-central-1a", "eu-central-1b"], "cidr": "10.0.0.0/24"}}, "/16 to a /20"),
        ({"network": {"zones": ["eu-central-1a", "eu-central-1b"], "cidr": "10.0.1.0/16"}}, "host bits set"),
        ({"eks": {"publicEndpointCidrs": ["198.51.100.7/24"]}}, "host bits set"),
        ({"bucket": "amzn-s3-demo-x"}, "AWS keeps for itself"),
        ({"account": "1234"}, "pattern"),
        ({"groups": {"system": PLATFORM["groups"]["cpu"]}}, "choose another name"),
        ({"groups": {"g" * 37: PLATFORM["groups"]["cpu"]}}, "at most"),
    ],
)
def test_what_aws_would_refuse_is_refused_before_it_is_asked(changed: dict[str, Any], text: str):
    with pytest.raises(ValidationError, match=text):
        AwsPlatform.model_validate(PLATFORM | changed)


def test_the_example_of_a_stack_is_a_whole_one():
    file = Path(__file__).parents[2] / "configs" / "Pulumi.aws.yaml"
    config = {key.partition(":")[2]: each for key, each in yaml.safe_load(file.read_text())["config"].items()}
    stack = parse(config, file.name, ["flights"])
    assert isinstance(stack.platform, AwsPlatform)
    assert stack.workloads.keys() == {"flights"}
