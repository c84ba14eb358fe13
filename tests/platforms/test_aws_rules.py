"""What holds of all of AWS in the plan that was reviewed: encrypted, private, tagged, with no more rights than needed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.platforms import golden

WHOLE = golden.load("aws")
PLAN = [each for each in WHOLE if each["type"].startswith("aws:")]
UNTAGGED = {
    "aws:autoscaling/tag:Tag",
    "aws:ec2/route:Route",
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:kms/alias:Alias",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
}
"""What AWS has no tags for."""
READING = ("Describe", "Get", "List")


def inputs(kind: str, name: str | None = None) -> list[dict[str, Any]]:
    found = [each["inputs"] for each in PLAN if each["type"].endswith(f":{kind}") and name in (None, each["name"])]
    assert found, kind
    return found


def documents() -> Iterator[dict[str, Any]]:
    """Rights that are known before anything is made."""
    for policy in inputs("RolePolicy"):
        if policy["policy"].startswith("{"):
            yield from json.loads(policy["policy"])["Statement"]


def test_everything_says_whose_it_is_and_who_pays():
    wanted = {"owner": "ml", "environment": "dev", "cost-centre": "cc-1"}
    bare = [(each["type"], each["name"]) for each in PLAN if each["type"] not in UNTAGGED and "tags" not in each["inputs"]]
    assert bare == []
    assert all(wanted.items() <= each["inputs"]["tags"].items() for each in PLAN if each["type"] not in UNTAGGED)
    for template in inputs("LaunchTemplate"):
        assert [it["resourceType"] for it in template["tagSpecifications"]] == ["instance", "volume", "network-interface"]
        assert all(wanted.items() <= it["tags"].items() for it in template["tagSpecifications"])


def test_all_that_is_stored_is_encrypted():
    (bucket,) = inputs("BucketServerSideEncryptionConfiguration")
    assert bucket["rules"][0]["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "aws:kms"
    assert inputs("Instance")[0]["storageEncrypted"] is True
    assert inputs("Cluster")[0]["encryptionConfig"]["resources"] == ["secrets"]
    assert inputs("Repository")[0]["encryptionConfigurations"] == [{"encryptionType": "KMS"}]
    assert all("kmsKeyId" in group for group in inputs("LogGroup"))
    assert all(disk["ebs"]["encrypted"] == "true" for it in inputs("LaunchTemplate") for disk in it["blockDeviceMappings"])
    assert all(key["enableKeyRotation"] for key in inputs("Key"))


def test_nothing_is_reached_from_outside_but_the_clusters_api_by_those_who_are_named():
    (block,) = inputs("BucketPublicAccessBlock")
    assert all(block[each] for each in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"))
    assert inputs("Instance")[0]["publiclyAccessible"] is False
    assert not any(subnet["mapPublicIpOnLaunch"] for subnet in inputs("Subnet"))
    (rule,) = inputs("SecurityGroupIngressRule")
    assert "referencedSecurityGroupId" in rule
    assert "cidrIpv4" not in rule
    assert inputs("Cluster")[0]["vpcConfig"]["publicAccessCidrs"] == ["198.51.100.0/24"]
    assert not {"ingress", "egress"} & inputs("DefaultSecurityGroup")[0].keys()


def test_no_pod_reaches_the_rights_of_its_node():
    for template in inputs("LaunchTemplate"):
        assert template["metadataOptions"] == {
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
        }


def test_a_bucket_is_spoken_to_by_tls_alone_and_keeps_what_was_written_over():
    (statement,) = json.loads(inputs("BucketPolicy")[0]["policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert inputs("BucketVersioning")[0]["versioningConfiguration"] == {"status": "Enabled"}
    assert inputs("ParameterGroup")[0]["parameters"][0] == {"name": "rds.force_ssl", "value": "1", "applyMethod": "immediate"}


def test_no_role_may_do_all_of_something_nor_write_to_everything():
    statements = list(documents())
    assert len(statements) > 5
    for statement in statements:
        assert not any("*" in action for action in statement["Action"])
        if "*" in statement["Resource"]:
            assert all(action.split(":")[1].startswith(READING) for action in statement["Action"])


def test_nobody_may_delete_the_ledger():
    denied = [each for each in documents() if each["Effect"] == "Deny"]
    assert len(denied) == 3
    for each in denied:
        assert each["Action"] == ["s3:DeleteObject"]
        assert each["Resource"] == ["arn:aws:s3:::heliostat-dev-objects/ledger/*"]


def test_a_role_of_pods_is_for_pods_of_this_cluster():
    roles = {role["name"]: json.loads(role["assumeRolePolicy"])["Statement"][0] for role in inputs("Role")}
    pods = {name for name, it in roles.items() if it["Principal"]["Service"] == "pods.eks.amazonaws.com"}
    assert pods == {f"heliostat-dev-{each}" for each in ("autoscaler", "cni", "controller", "ebs-csi", "mlflow", "ray")}
    for name in pods:
        arn = "arn:aws:eks:eu-central-1:123456789012:cluster/heliostat-dev"
        assert roles[name]["Condition"]["ArnEquals"] == {"aws:SourceArn": arn}


@pytest.mark.parametrize("kind", ["Bucket", "Instance", "Repository", "Vpc"])
def test_data_and_what_it_stands_on_outlives_the_stack(kind):
    assert all(each["retainOnDelete"] for each in PLAN if each["type"].endswith(f":{kind}"))


def test_data_is_protected_and_so_are_the_keys_and_nothing_else():
    assert {(each["type"], each["name"]) for each in PLAN if each.get("protect")} == {
        ("aws:kms/key:Key", "cluster"),
        ("aws:kms/key:Key", "data"),
        ("aws:rds/instance:Instance", "database"),
        ("aws:s3/bucket:Bucket", "objects"),
    }
    (database,) = inputs("Instance")
    assert (database["deletionProtection"], database["skipFinalSnapshot"]) == (True, False)


def after(kind: str, name: str) -> set[str]:
    """What something is made after."""
    (found,) = [each for each in WHOLE if (each["type"], each["name"]) == (kind, name)]
    return set(found["dependsOn"])


def test_nodes_come_after_what_makes_them_ready_and_before_what_runs_on_them():
    for group in ("system", "cpu", "l4"):
        before = after("aws:eks/nodeGroup:NodeGroup", group)
        assert {f"aws:eks/addon:Addon {each}" for each in ("eks-pod-identity-agent", "kube-proxy", "vpc-cni")} <= before
        assert "aws:ec2/route:Route private-eu-central-1a" in before
    for kind, name in (
        ("aws:eks/addon:Addon", "coredns"),
        ("aws:eks/addon:Addon", "aws-ebs-csi-driver"),
        ("kubernetes:helm.sh/v3:Release", "cluster-autoscaler"),
        ("kubernetes:helm.sh/v3:Release", "nvidia-device-plugin"),
    ):
        assert "aws:eks/nodeGroup:NodeGroup system" in after(kind, name)


def test_pods_start_when_they_can_act_as_their_role():
    pods = [each for each in WHOLE if each["type"] == "kubernetes:ray.io/v1:RayCluster"]
    identities = {f"aws:eks/podIdentityAssociation:PodIdentityAssociation {each}" for each in ("ray", "mlflow", "controller")}
    assert identities <= set(pods[0]["dependsOn"])
    assert "aws:iam/rolePolicy:RolePolicy ray-objects" in after("aws:eks/podIdentityAssociation:PodIdentityAssociation", "ray")


def test_no_secret_stands_in_the_plan():
    assert inputs("Instance")[0]["password"] == "(secret)"


def test_how_many_nodes_there_are_is_the_autoscalers_to_say_but_for_the_systems():
    ignored = {each["name"]: each.get("ignoreChanges") for each in PLAN if each["type"].endswith(":NodeGroup")}
    assert ignored == {"cpu": ["scalingConfig.desiredSize"], "l4": ["scalingConfig.desiredSize"], "system": None}
    (l4,) = inputs("NodeGroup", "l4")
    assert (l4["amiType"], l4["capacityType"], l4["scalingConfig"]["minSize"]) == ("AL2023_x86_64_NVIDIA", "SPOT", 0)
