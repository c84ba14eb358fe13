"""Each policy over resources of the clouds: what keeps it, what breaks it, and what is not known yet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import pytest

from policies import tagging
from policies.catalog import POLICIES, Policy
from policies.model import UNKNOWN, Resource

BY_NAME = {policy.name: policy for policy in POLICIES}
DIGEST = "registry.example/x@sha256:" + "0" * 64
TAGS = {"owner": "ml", "environment": "dev", "cost-centre": "42"}
URN = "urn:pulumi:preview-7::p::t::"
BUCKET, GCS = "aws:s3/bucket:Bucket", "gcp:storage/bucket:Bucket"
RDS, SQL = "aws:rds/instance:Instance", "gcp:sql/databaseInstance:DatabaseInstance"
BLOCK = dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True)
POD = {"containers": [{"name": "c", "image": DIGEST}]}


def document(**statement: Any) -> dict[str, Any]:
    return {"policy": json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})}


def workload(**pod: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {**POD, **pod}}}}


def ray(image: str = DIGEST, kind: str = "RayCluster", **group: Any) -> dict[str, Any]:
    container = {"name": "w", "image": image, "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    group = {"maxReplicas": 4, "template": {"spec": {"containers": [container]}}, **group}
    spec = {"workerGroupSpecs": [group]}
    return {"kind": kind, "spec": {"rayClusterSpec": spec} if kind == "RayJob" else spec}


# policy, type, what keeps it, what breaks it, words of the violation; then the config, where there is one
RESOURCES: list[tuple[Any, ...]] = [
    ("no-public-bucket", BUCKET, {}, {"acl": "public-read"}, "acl is public-read"),
    ("no-public-bucket", "aws:s3/bucketAcl:BucketAcl", {"acl": "private"}, {"acl": "public-read-write"}, "acl is public"),
    (
        "no-public-bucket",
        "aws:s3/bucketPolicy:BucketPolicy",
        document(Principal={"AWS": "arn:aws:iam::1:role/r"}, Action="s3:GetObject"),
        document(Principal={"AWS": "*"}, Action="s3:GetObject"),
        'Principal "*"',
    ),
    (
        "no-public-bucket",
        "aws:s3/bucketPolicy:BucketPolicy",
        document(Principal="*", Effect="Deny"),
        document(Principal="*"),
        'Principal "*"',
    ),
    (
        "no-public-bucket",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        BLOCK,
        {**BLOCK, "ignorePublicAcls": False},
        "ignorePublicAcls is off",
    ),
    (
        "no-public-bucket",
        GCS,
        {"publicAccessPrevention": "enforced", "uniformBucketLevelAccess": True},
        {"publicAccessPrevention": "inherited", "uniformBucketLevelAccess": True},
        "publicAccessPrevention is inherited",
    ),
    (
        "no-public-bucket",
        GCS,
        {"publicAccessPrevention": "enforced", "uniformBucketLevelAccess": True},
        {"publicAccessPrevention": "enforced"},
        "uniformBucketLevelAccess is off",
    ),
    (
        "no-public-bucket",
        "gcp:storage/bucketIAMMember:BucketIAMMember",
        {"member": "serviceAccount:x", "role": "roles/storage.objectViewer"},
        {"member": "allUsers", "role": "roles/storage.objectViewer"},
        "granted to allUsers",
    ),
    ("no-public-bucket", "gcp:projects/iAMBinding:IAMBinding", {"members": ["user:x"]}, {"members": ["allUsers"]}, "allUsers"),
    (
        "no-public-bucket",
        "gcp:storage/bucketAccessControl:BucketAccessControl",
        {"entity": "u"},
        {"entity": "allUsers"},
        "all",
    ),
    ("no-public-database", RDS, {"publiclyAccessible": False}, {"publiclyAccessible": True}, "publiclyAccessible is true"),
    (
        "no-public-database",
        SQL,
        {"settings": {"ipConfiguration": {"ipv4Enabled": False}}},
        {"settings": {"ipConfiguration": {"authorizedNetworks": [{"value": "0.0.0.0/0"}]}}},
        "0.0.0.0/0",
    ),
    ("encrypted", RDS, {"storageEncrypted": True}, {}, "storageEncrypted is off"),
    ("encrypted", "aws:eks/cluster:Cluster", {"encryptionConfig": {"resources": ["secrets"]}}, {}, "encryptionConfig"),
    (
        "encrypted",
        "aws:ecr/repository:Repository",
        {"encryptionConfigurations": [{"encryptionType": "KMS"}]},
        {"encryptionConfigurations": [{"encryptionType": "AES256"}]},
        "encryptionType KMS",
    ),
    (
        "encrypted",
        "aws:ec2/launchTemplate:LaunchTemplate",
        {"blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"encrypted": "true"}}]},
        {"blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"volumeSize": 100}}]},
        "/dev/xvda",
    ),
    (
        "encrypted",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}}]},
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
        "sseAlgorithm is AES256",
    ),
    ("encrypted", "aws:ebs/volume:Volume", {"encrypted": True}, {"encrypted": False}, "encrypted is off"),
    ("encrypted", "gcp:container/cluster:Cluster", {"databaseEncryption": {"state": "ENCRYPTED"}}, {}, "databaseEncryption"),
    ("encrypted", GCS, {"encryption": {"defaultKmsKeyName": "k"}}, {}, "Google's own key", {"customerKeys": True}),
    (
        "no-iam-wildcard",
        "aws:iam/policy:Policy",
        document(Action=["s3:GetObject", "s3:PutObject"], Resource="arn:aws:s3:::b/*"),
        document(Action="*", Resource="*"),
        "Action *",
    ),
    (
        "no-iam-wildcard",
        "aws:iam/rolePolicy:RolePolicy",
        document(Action=["ec2:DescribeInstances", "s3:ListAllMyBuckets"], Resource="*"),
        document(Action=["s3:PutObject"], Resource="*"),
        's3:PutObject is allowed on Resource "*"',
    ),
    (
        "no-iam-wildcard",
        "aws:iam/rolePolicy:RolePolicy",
        document(Action="ec2:CreateTags", Resource="*", Condition={"StringEquals": {}}),
        document(NotAction="iam:*", Resource="*"),
        "NotAction",
    ),
    (
        "no-iam-wildcard",
        "aws:iam/role:Role",
        {"inlinePolicies": [document(Action="s3:GetObject", Resource="arn:b")]},
        {"inlinePolicies": [document(Action="s3:*", Resource="arn:b")]},
        "Action s3:*",
    ),
    (
        "no-iam-wildcard",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        {"policyArn": "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"},
        {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
        "AdministratorAccess is attached",
    ),
    (
        "no-iam-wildcard",
        "gcp:projects/iAMMember:IAMMember",
        {"role": "roles/storage.objectUser"},
        {"role": "roles/editor"},
        "role is roles/editor",
    ),
    (
        "no-iam-wildcard",
        "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole",
        {"rules": [{"verbs": ["get", "list"], "resources": ["pods"]}]},
        {"rules": [{"verbs": ["*"], "resources": ["pods"]}]},
        "verbs * on pods",
    ),
    (
        "no-iam-wildcard",
        "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding",
        {"roleRef": {"name": "reader"}},
        {"roleRef": {"name": "cluster-admin"}},
        "cluster-admin",
    ),
    (
        "images-by-digest",
        "kubernetes:apps/v1:Deployment",
        workload(),
        workload(initContainers=[{"name": "i", "image": "x:latest"}]),
        "container i has image x:latest",
    ),
    ("images-by-digest", "kubernetes:apps/v1:StatefulSet", workload(), workload(containers=[{"name": "c"}]), "image None"),
    ("images-by-digest", "kubernetes:ray.io/v1:RayCluster", ray(), ray("ray:2.50"), "container w has image ray:2.50"),
    ("images-by-digest", "kubernetes:ray.io/v1:RayJob", ray(kind="RayJob"), ray("ray:2.50", "RayJob"), "image ray:2.50"),
    (
        "images-by-digest",
        "kubernetes:batch/v1:CronJob",
        {"spec": {"jobTemplate": workload()}},
        {"spec": {"jobTemplate": workload(containers=[{"name": "c", "image": "x@sha256:12"}])}},
        "x@sha256:12",
    ),
    ("tags-stay", "aws:ecr/repository:Repository", {"imageTagMutability": "IMMUTABLE"}, {}, "imageTagMutability is MUTABLE"),
    (
        "tags-stay",
        "gcp:artifactregistry/repository:Repository",
        {"format": "DOCKER", "dockerConfig": {"immutableTags": True}},
        {"format": "DOCKER"},
        "immutableTags is off",
    ),
    ("protected", BUCKET, {}, {"forceDestroy": True}, "forceDestroy is true"),
    ("protected", GCS, {}, {"forceDestroy": True}, "forceDestroy is true"),
    (
        "backed-up",
        RDS,
        {"backupRetentionPeriod": 7, "deletionProtection": True},
        {"backupRetentionPeriod": 3, "deletionProtection": True},
        "backupRetentionPeriod is 3 days, at least 7",
    ),
    (
        "backed-up",
        RDS,
        {"backupRetentionPeriod": 3, "deletionProtection": True},
        {"backupRetentionPeriod": 3, "skipFinalSnapshot": True, "deletionProtection": True},
        "skipFinalSnapshot is true",
        {"days": 3},
    ),
    (
        "backed-up",
        SQL,
        {"settings": {"backupConfiguration": {"enabled": True}, "deletionProtectionEnabled": True}},
        {"settings": {"backupConfiguration": {"enabled": False}, "deletionProtectionEnabled": True}},
        "backupConfiguration.enabled is off",
    ),
    ("tagged", BUCKET, {"tags": TAGS}, {"tags": {"owner": "ml"}}, "tags has no cost-centre, environment"),
    ("tagged", GCS, {"labels": TAGS}, {}, "labels has no cost-centre, environment, owner"),
    ("tagged", SQL, {"settings": {"userLabels": TAGS}}, {"settings": {}}, "settings.userLabels has no"),
    ("tagged", "gcp:container/cluster:Cluster", {"resourceLabels": TAGS}, {"resourceLabels": {}}, "resourceLabels has no"),
    ("tagged", "kubernetes:core/v1:Namespace", {"metadata": {"labels": TAGS}}, {"metadata": {}}, "metadata.labels has no"),
    (
        "tagged",
        "aws:autoscaling/group:Group",
        {"tags": [{"key": "who", "value": "me"}]},
        {},
        "tags has no who",
        {"names": ["who"]},
    ),
    (
        "allowed-regions",
        "pulumi:providers:aws",
        {"region": "eu-central-1"},
        {"region": "us-east-1"},
        "region is us-east-1",
        {"regions": ["eu-*"]},
    ),
    (
        "allowed-regions",
        "aws:ec2/subnet:Subnet",
        {"availabilityZone": "eu-central-1a"},
        {"availabilityZone": "us-east-1a"},
        "availabilityZone is us-east-1a",
        {"regions": ["eu-central-1"]},
    ),
    (
        "allowed-regions",
        "gcp:container/nodePool:NodePool",
        {"location": "europe-west4", "nodeLocations": ["europe-west4-a"]},
        {"location": "europe-west4", "nodeLocations": ["us-central1-b"]},
        "nodeLocations is us-central1-b",
        {"regions": ["europe-west4"]},
    ),
    (
        "expires",
        BUCKET,
        {"tags": {"expires": "2999-01-01"}},
        {"tags": {}},
        "expires is not given",
        {"stacks": ["preview-*"]},
    ),
]


def settings_of(policy: Policy, given: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: one["default"] for key, one in policy.schema.items() if "default" in one}, **given}


def violations(
    name: str, kind: str, props: Mapping[str, Any], config: Mapping[str, Any] | None = None, **more: Any
) -> list[str]:
    policy = BY_NAME[name]
    resource = Resource(kind, props=props, urn=f"{URN}r", **{"protect": True, **more})
    assert policy.of_resource
    return list(policy.of_resource(resource, settings_of(policy, config or {})))


def case(row: tuple[Any, ...]) -> str:
    return f"{row[0]} {row[1].rpartition(':')[2]} {row[4]}"


@pytest.mark.parametrize("row", RESOURCES, ids=case)
def test_what_keeps_a_policy_passes(row: tuple[Any, ...]) -> None:
    name, kind, good, _, _, *config = row
    assert violations(name, kind, good, *config) == []


@pytest.mark.parametrize("row", RESOURCES, ids=case)
def test_what_breaks_a_policy_is_told_with_what_to_change(row: tuple[Any, ...]) -> None:
    name, kind, _, bad, words, *config = row
    (said,) = violations(name, kind, bad, *config)
    assert words in said
    assert ":" in said or "," in said


@pytest.mark.parametrize("row", RESOURCES, ids=case)
def test_a_policy_looks_at_its_own_types_only(row: tuple[Any, ...]) -> None:
    name, _, _, bad, _, *config = row
    assert violations(name, "other:index:Thing", bad, *config) == []


def veiled(value: Any) -> Iterator[Any]:
    """The value with each of its parts not known yet, one at a time."""
    yield UNKNOWN
    if isinstance(value, Mapping):
        for key in value:
            yield from ({**value, key: part} for part in veiled(value[key]))
    elif isinstance(value, list):
        for at in range(len(value)):
            yield from ([*value[:at], part, *value[at + 1 :]] for part in veiled(value[at]))


@pytest.mark.parametrize("row", RESOURCES, ids=case)
def test_what_is_not_known_yet_breaks_nothing_that_its_value_would_keep(row: tuple[Any, ...]) -> None:
    name, kind, good, bad, _, *config = row
    for props in veiled(good):
        if props is not UNKNOWN:
            assert violations(name, kind, props, *config) == [], props
    for props in veiled(bad):
        if props is not UNKNOWN:
            violations(name, kind, props, *config)


def test_every_policy_of_resources_has_a_case_and_a_description() -> None:
    ours = {"two-replicas", "no-gap", "analysed", "answers-are-logged", "judged-by-slice", "data-is-kept"}
    assert {row[0] for row in RESOURCES} | ours == {policy.name for policy in POLICIES if policy.of_resource}
    assert all(policy.description.endswith(".") for policy in POLICIES)


@pytest.mark.parametrize("kind", [BUCKET, GCS, RDS, SQL, "aws:kms/key:Key"])
def test_what_holds_data_and_is_not_protected_is_told(kind: str) -> None:
    assert violations("protected", kind, {}) == []
    (said,) = violations("protected", kind, {}, protect=False)
    assert "ResourceOptions(protect=True)" in said


def test_tags_of_the_provider_count_as_an_object_and_as_json() -> None:
    for given in ({"tags": TAGS}, json.dumps({"tags": TAGS})):
        assert violations("tagged", BUCKET, {}, provider={"defaultTags": given}) == []
    assert violations("tagged", GCS, {}, provider={"defaultLabels": TAGS}) == []
    assert violations("tagged", BUCKET, {}, provider={"defaultTags": UNKNOWN}) == []


def test_a_preview_s_end_is_held_against_today_and_against_the_longest_allowed() -> None:
    def said(expires: str, **config: Any) -> list[str]:
        resource = Resource(BUCKET, props={"tags": {"expires": expires}}, urn=f"{URN}r")
        return list(tagging.expires(resource, {"stacks": ["preview-*"], **config}, date(2027, 1, 10)))

    assert said("2027-01-10") == said("2027-01-17", days=7) == []
    assert "has passed" in said("2027-01-09")[0]
    assert "8 days from now, at most 7" in said("2027-01-18", days=7)[0]
    assert "such as 2027-01-31" in said("soon")[0]


def test_stacks_that_are_no_previews_need_no_end() -> None:
    assert violations("expires", BUCKET, {"tags": {}}, {"stacks": ["pr-*"]}) == []
    assert violations("expires", BUCKET, {"tags": {}}) == []
