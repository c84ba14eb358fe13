"""The policies over all resources of a stack."""

from __future__ import annotations

import re
from typing import Any

import pytest
from test_cloud_rules import BY_NAME, ray, settings_of

from heliostat.spec.machines.catalog import catalog
from heliostat.spec.machines.model import Cloud
from policies.machines import of_machine
from policies.model import UNKNOWN, Resource

BUCKET = Resource("aws:s3/bucket:Bucket", "data", urn="urn:data")
COMPANIONS = {
    "bucket-access-blocked": "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "buckets-encrypted": "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "buckets-versioned": "aws:s3/bucketVersioning:BucketVersioning",
}
ENABLED = {"versioningConfiguration": {"status": "Enabled"}}


def violations(name: str, *resources: Resource, **config: Any) -> list[tuple[str, str]]:
    policy = BY_NAME[name]
    assert policy.of_stack
    return list(policy.of_stack(resources, settings_of(policy, config)))


@pytest.mark.parametrize("name", COMPANIONS)
def test_a_bucket_without_its_companion_is_told(name: str) -> None:
    ((urn, said),) = violations(name, BUCKET)
    assert urn == "urn:data"
    assert said.startswith("data has no Bucket")


@pytest.mark.parametrize("name", COMPANIONS)
def test_a_companion_is_known_by_what_it_comes_from_before_the_bucket_has_an_id(name: str) -> None:
    companion = Resource(COMPANIONS[name], props={"bucket": UNKNOWN, **ENABLED}, needs={"bucket": ("urn:data",)})
    assert violations(name, BUCKET, companion) == []


@pytest.mark.parametrize("name", COMPANIONS)
def test_a_companion_is_known_by_the_bucket_s_name_and_one_of_another_bucket_does_not_count(name: str) -> None:
    named = Resource(BUCKET.type, "data", {"bucket": "b-1"}, "urn:data")
    assert violations(name, named, Resource(COMPANIONS[name], props={"bucket": "b-1", **ENABLED})) == []
    assert len(violations(name, named, Resource(COMPANIONS[name], props={"bucket": "b-2", **ENABLED}))) == 1


def test_versioning_that_is_suspended_is_told_in_either_cloud() -> None:
    suspended = Resource(
        COMPANIONS["buckets-versioned"],
        props={"versioningConfiguration": {"status": "Suspended"}},
        urn="urn:v",
        needs={"bucket": ("urn:data",)},
    )
    assert violations("buckets-versioned", BUCKET, suspended) == [
        ("urn:v", "versioningConfiguration.status is Suspended: set it to Enabled")
    ]
    google = Resource("gcp:storage/bucket:Bucket", urn="urn:g")
    assert violations("buckets-versioned", google) == [("urn:g", "versioning.enabled is off: set it to true")]


def eks(*types: str, most: Any = 2, **more: Any) -> Resource:
    return Resource(
        "aws:eks/nodeGroup:NodeGroup", props={"instanceTypes": [*types], "scalingConfig": {"maxSize": most}}, **more
    )


def gke(machine: str, **props: Any) -> Resource:
    return Resource("gcp:container/nodePool:NodePool", props={"nodeConfig": {"machineType": machine}, **props})


@pytest.mark.parametrize(
    ("resources", "kind", "count"),
    [
        ([eks("g5.xlarge")], "A10G", 2),
        ([eks("g5.xlarge", "g5.48xlarge")], "A10G", 16),
        ([eks("p5.48xlarge"), eks("p5.4xlarge", most=3)], "H100", 19),
        ([gke("a2-highgpu-1g", location="us-central1-a", autoscaling={"maxNodeCount": 5})], "A100", 5),
        ([gke("g2-standard-24", location="us-central1", nodeCount=1)], "L4", 6),
        ([gke("ct6e-standard-4t", autoscaling={"totalMaxNodeCount": 4})], "TPU v6e", 16),
        ([Resource("kubernetes:ray.io/v1:RayCluster", props=ray())], "nvidia.com/gpu", 4),
        ([Resource("kubernetes:ray.io/v1:RayCluster", props=ray(numOfHosts=2))], "nvidia.com/gpu", 8),
    ],
)
def test_accelerators_are_counted_at_their_most_and_held_against_the_quota(
    resources: list[Resource], kind: str, count: int
) -> None:
    assert violations("accelerator-quota", *resources, most={kind: count}) == []
    ((_, said),) = violations("accelerator-quota", *resources, most={kind: count - 1})
    assert f"may come to {count} {kind}, at most {count - 1} are allowed" in said


def test_a_launch_template_s_machine_counts_for_the_group_that_it_is_of() -> None:
    template = Resource("aws:ec2/launchTemplate:LaunchTemplate", props={"instanceType": "g6.12xlarge"}, urn="urn:t")
    group = eks(needs={"launchTemplate": ("urn:t",)})
    ((_, said),) = violations("accelerator-quota", template, group, most={"L4": 7})
    assert "8 L4" in said


def test_a_type_that_the_quota_does_not_name_is_not_allowed_unless_all_others_are() -> None:
    ((_, said),) = violations("accelerator-quota", eks("g5.xlarge"), most={"T4": 8})
    assert "which `most` does not name" in said
    assert violations("accelerator-quota", eks("g5.xlarge"), most={"*": 2}) == []
    assert violations("accelerator-quota", eks("m7i.large"), most={}) == []


def test_without_a_quota_and_before_sizes_are_known_nothing_is_told() -> None:
    assert violations("accelerator-quota", eks("p5.48xlarge", most=99)) == []
    assert (
        violations("accelerator-quota", Resource("aws:eks/nodeGroup:NodeGroup", props={"instanceTypes": UNKNOWN}), most={})
        == []
    )


def test_an_accelerated_machine_that_the_table_does_not_know_is_told() -> None:
    ((_, said),) = violations("accelerator-quota", eks("p9.huge"), most={"*": 1000})
    assert said.startswith("p9.huge has accelerators")


@pytest.mark.parametrize("name", ["m7i.large", "n2-standard-4", "c3-standard-8"])
def test_a_machine_without_accelerators_has_none(name: str) -> None:
    assert of_machine(name) is None


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_the_table_of_accelerators_says_of_each_machine_what_the_catalog_says(cloud: Cloud) -> None:
    # An n1 has the GPUs that are put beside it, which its own type does not say.
    machines = [offer.machine for offer in catalog(cloud).offers if not offer.machine.name.startswith("n1-")]
    assert len(machines) > 40
    for machine in machines:
        expected = (quota_name(machine.accelerator), machine.accelerators) if machine.accelerator else None
        assert of_machine(machine.name) == expected, machine.name


def quota_name(accelerator: str) -> str:
    """A quota counts GPUs of any memory together, and TPUs by their generation."""
    return f"TPU {accelerator}" if re.match(r"v\d", accelerator) else re.sub(r"-\d+G$", "", accelerator)
