"""What a resource may be given, as made of the typed SDKs alone: what is wrong is told, and what is legal is not."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pulumi import _types
from pulumi.runtime import rpc

from heliostat.engine.protocol.language_host import schemas
from heliostat.engine.protocol.language_host.schemas import sdk
from heliostat.engine.state.snapshot import UNKNOWN, Secret

NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
GROUP = {
    "clusterName": "c",
    "nodeRoleArn": "r",
    "subnetIds": ["a"],
    "scalingConfig": {"minSize": 0, "maxSize": 2, "desiredSize": 0},
}
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
NODE_POOL = "gcp:container/nodePool:NodePool"


def told(token: str, inputs: dict[str, Any]) -> dict[str, str]:
    return {one.path: one.reason for one in schemas.mistakes(token, inputs)}


def deployment(**container: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "i", **container}]}
    template = {"metadata": {"labels": {"app_name": "x"}}, "spec": spec}
    return {"spec": {"replicas": 1, "selector": {"matchLabels": {"app_name": "x"}}, "template": template}}


async def sent(value: Any, described: type) -> Any:
    """A value as the SDK sends it where an argument is of the class `described`."""
    return await rpc.serialize_property(value, [], "value", typ=described)


def test_the_sdk_still_has_what_the_schemas_are_made_of() -> None:
    names = ("input_type_types", "input_type_py_to_pulumi_names", "is_input_type", "is_output_type", "output_type_types")
    gone = [f"pulumi._types.{name}" for name in (*names, "resource_types") if not hasattr(_types, name)]
    marks = ("_special_sig_key", "_special_secret_sig", "_special_output_value_sig", "_special_resource_sig")
    found = (*marks, "_special_asset_sig", "_special_archive_sig", "UNKNOWN", "get_resource_module", "get_resource_package")
    gone += [f"pulumi.runtime.rpc.{name}" for name in found if not hasattr(rpc, name)]
    assert not gone, f"this SDK has no {', '.join(gone)}: schemas/sdk.py has to find what it told elsewhere"
    assert sdk.UNKNOWN == UNKNOWN
    for package in ("aws", "gcp", "kubernetes"):
        assert sdk.sdk_of(package), f"pulumi_{package} registers its provider otherwise than `pkg_info` had it"
    assert inspect.signature(_types.input_type_types).parameters.keys() == {"input_type_cls"}


@pytest.mark.parametrize("package", ["aws", "gcp", "kubernetes"])
def test_every_type_that_a_platform_takes_is_known(package: str) -> None:
    modules = {
        "aws": ["eks/nodeGroup:NodeGroup", "s3/bucketVersioning:BucketVersioning", "rds/instance:Instance", "ec2/vpc:Vpc"],
        "gcp": ["container/cluster:Cluster", "storage/bucket:Bucket", "sql/databaseInstance:DatabaseInstance"],
        "kubernetes": ["core/v1:Secret", "helm.sh/v3:Release", "ray.io/v1:RayCluster", "yaml/v2:ConfigGroup"],
    }
    for token in [f"{package}:{one}" for one in modules[package]] + [f"pulumi:providers:{package}"]:
        resource = sdk.resource_class(token)
        assert resource, token
        assert sdk.arguments_class(resource), token


def test_a_misspelt_nested_argument_is_told_with_its_path_and_the_name_that_was_meant() -> None:
    scaling = {"minSize": 0, "maxSize": 2, "desired_sise": 0}
    assert told(NODE_GROUP, {**GROUP, "scalingConfig": scaling}) == {
        "scaling_config.desired_sise": "there is no such argument; there is 'desired_size'",
        "scaling_config.desired_size": "is required, and missing",
    }


def test_all_mistakes_are_told_at_once_each_where_it_is() -> None:
    inputs = {**GROUP, "nodeRoleArn": None, "diskSize": "20", "taints": [{"key": "k", "effect": "X"}, {"kez": "k"}]}
    inputs |= {"labels": {"a": 1}, "forceUpdateVersion": "yes"}
    assert told(NODE_GROUP, inputs) == {
        "node_role_arn": "is required, and missing",
        "disk_size": "is a string, and has to be a whole number",
        "force_update_version": "is a string, and has to be True or False",
        "labels['a']": "is a whole number, and has to be a string",
        "taints[1].kez": "there is no such argument; there is 'key'",
        "taints[1].effect": "is required, and missing",
        "taints[1].key": "is required, and missing",
    }


def test_a_key_that_the_sdk_leaves_as_python_wrote_it_is_told_as_it_has_to_be() -> None:
    document = {"Version": "2012-10-17", "Statement": [{"effect": "Allow"}]}
    assert told("aws:iam/policy:Policy", {"policy": document}) == {
        "policy.statement[0].effect": "there is no such argument: here it has to be written 'Effect', "
        "since the SDK does not translate it"
    }


def test_a_constant_and_an_enum_are_held_to_their_values_and_an_open_one_is_not() -> None:
    wrong = told("kubernetes:core/v1:Service", {"kind": "Servise", "spec": {"type": "Public"}})
    assert wrong["kind"] == "is 'Servise', and has to be 'Service'"
    assert told("aws:s3/bucket:Bucket", {"acl": "aws-exec-read"}) == {}
    version = told("aws:iam/policy:Policy", {"policy": {"Version": "1999", "Statement": []}})
    assert version == {"policy.version": "is '1999', and has to be one of '2012-10-17', '2008-10-17'"}


def test_a_secret_stays_out_of_what_is_told() -> None:
    for value in (Secret("hunter22"), {sdk.SIGNATURE_KEY: sdk.SECRET, "value": "hunter22"}):
        found = told("kubernetes:core/v1:Service", {"kind": value, "spec": {"ports": value}})
        assert found.keys() == {"kind", "spec.ports"}
        assert "hunter22" not in str(found)


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        (NODE_GROUP, GROUP),
        (NODE_GROUP, {**GROUP, "scalingConfig": UNKNOWN, "subnetIds": [UNKNOWN, Secret("a")]}),
        (NODE_GROUP, {**GROUP, "scalingConfig": {"minSize": UNKNOWN, "maxSize": 2.0, "desiredSize": Secret(1)}}),
        (NODE_GROUP, {**GROUP, "tags": {}, "labels": None, "taints": []}),
        (NODE_GROUP, {**GROUP, "nodeRoleArn": {sdk.SIGNATURE_KEY: sdk.REFERENCE, "urn": "u", "id": "i"}}),
        (NODE_GROUP, {**GROUP, "nodeRoleArn": {sdk.SIGNATURE_KEY: sdk.OUTPUT, "dependencies": []}}),
        (NODE_GROUP, {**GROUP, "__defaults": ["version"]}),
        ("aws:iam/policy:Policy", {"policy": '{"Version": "2012-10-17"}'}),
        ("aws:iam/policy:Policy", {"policy": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["a"]}]}}),
        ("aws:lambda/function:Function", {"role": "r", "code": {sdk.SIGNATURE_KEY: sdk.CONTENT[1], "path": "."}}),
        ("aws:s3/bucketObjectv2:BucketObjectv2", {"bucket": "b", "source": {sdk.SIGNATURE_KEY: sdk.CONTENT[0], "text": "t"}}),
        (DEPLOYMENT, deployment()),
        (DEPLOYMENT, deployment(resources={"limits": {"nvidia.com/gpu": "1", "cpu": "500m"}})),
        (DEPLOYMENT, deployment(livenessProbe={"httpGet": {"port": 8000, "path": "/"}}, env=[{"name": "A", "value": "1"}])),
        (DEPLOYMENT, deployment(livenessProbe={"httpGet": {"port": "http"}})),
        ("kubernetes:core/v1:ConfigMap", {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a_b": "c"}}),
        ("kubernetes:core/v1:Secret", {"stringData": Secret({"p": "x"})}),
        (
            "kubernetes:ray.io/v1:RayCluster",
            {"apiVersion": "ray.io/v1", "kind": "RayCluster", "spec": {"a_b": [1, {"c": None}]}},
        ),
        ("kubernetes:helm.sh/v3:Release", {"chart": "c", "values": {"a_b": {"c": [1]}}, "compat": "true", "timeout": 600}),
        ("kubernetes:yaml/v2:ConfigGroup", {"objs": [{"kind": "ConfigMap"}]}),
        (NODE_POOL, {"cluster": "c", "nodeCount": 2.0, "placementPolicy": {"type": "COMPACT", "tpuTopology": "2x4"}}),
        ("gcp:container/cluster:Cluster", {"workloadIdentityConfig": {}, "initialNodeCount": 1}),
        ("pulumi:providers:aws", {"region": "eu-west-1", "defaultTags": '{"tags":{"a":"b"}}', "insecure": "true"}),
        (
            "pulumi:providers:kubernetes",
            {"kubeconfig": '{"clusters": []}', "helmReleaseSettings": '{"suppress_beta_warning":true}'},
        ),
        ("nobody:index:Knows", {"whatever": 1}),
    ],
)
def test_what_is_legal_is_not_refused(token: str, inputs: dict[str, Any]) -> None:
    assert told(token, inputs) == {}


async def test_nested_names_are_taken_in_either_way_of_writing_as_the_sdk_sends_them() -> None:
    import pulumi_kubernetes as kubernetes

    container = {"name": "c", "image": "i", "env": [{"name": "A", "value_from": {"fieldRef": {"field_path": "x"}}}]}
    spec = {
        "replicas": 1,
        "selector": {"match_labels": {"app_name": "x"}},
        "template": kubernetes.core.v1.PodTemplateSpecArgs(spec={"containers": [container], "node_selector": {"a_b": "c"}}),
    }
    wire = await sent(spec, kubernetes.apps.v1.DeploymentSpecArgs)
    assert "matchLabels" in wire["selector"]
    assert told(DEPLOYMENT, {"spec": wire}) == {}


def test_a_required_argument_missing_deep_in_a_pod_is_told() -> None:
    wrong = deployment(env=[{"value": "x"}], ports=[{"containerPort": "http"}])
    assert told(DEPLOYMENT, wrong) == {
        "spec.template.spec.containers[0].env[0].name": "is required, and missing",
        "spec.template.spec.containers[0].ports[0].container_port": "is a string, and has to be a whole number",
    }


def test_the_metadata_of_a_custom_resource_is_held_to_its_type_and_its_spec_to_nothing() -> None:
    named = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"nam": "x", "labels": {"a": 1}}, "spec": {"nam": 1}}
    found = told("kubernetes:ray.io/v1:RayCluster", named)
    assert found.keys() == {"metadata.nam", "metadata.labels['a']"}
    assert "'name'" in found["metadata.nam"]


def test_a_placement_without_its_type_is_told_which_the_sdk_lets_pass() -> None:
    assert told(NODE_POOL, {"cluster": "c", "placementPolicy": {"tpuTopology": "2x4"}}) == {
        "placement_policy.type": "is required, and missing"
    }


def test_a_key_of_a_provider_s_configuration_that_it_does_not_have_is_told() -> None:
    found = told("pulumi:providers:aws", {"regoin": "eu-west-1", "maxRetries": "three", "insecure": "maybe"})
    assert found.keys() == {"regoin", "max_retries", "insecure"}
    assert "'region'" in found["regoin"]


def test_the_outputs_are_the_inputs_and_all_else_that_the_type_has_is_unknown_at_any_depth() -> None:
    found = schemas.outputs("aws:eks/cluster:Cluster", {"roleArn": "r", "vpcConfig": {"subnetIds": ["a"]}}, {})
    assert (found["roleArn"], found["arn"], found["name"]) == ("r", UNKNOWN, UNKNOWN)
    assert (found["vpcConfig"]["subnetIds"], found["vpcConfig"]["clusterSecurityGroupId"]) == (["a"], UNKNOWN)


def test_an_output_that_is_not_of_its_input_s_kind_is_unknown() -> None:
    found = schemas.outputs("aws:iam/policy:Policy", {"policy": {"Version": "2012-10-17"}, "name": "n"}, {})
    assert (found["policy"], found["name"]) == (UNKNOWN, "n")


def test_what_was_output_before_stays_below_what_is_given_now() -> None:
    before = {"arn": "a", "vpcConfig": {"subnetIds": ["old"], "clusterSecurityGroupId": "sg"}}
    found = schemas.outputs("aws:eks/cluster:Cluster", {"vpcConfig": {"subnetIds": ["new"]}}, before)
    assert found["arn"] == "a"
    assert (found["vpcConfig"]["subnetIds"], found["vpcConfig"]["clusterSecurityGroupId"]) == (["new"], "sg")


def test_a_secret_input_is_a_secret_output() -> None:
    given = {sdk.SIGNATURE_KEY: sdk.SECRET, "value": "x"}
    found = schemas.outputs("aws:rds/instance:Instance", {"instanceClass": "c", "password": given}, {})
    assert found["password"] == given


def test_the_name_that_kubernetes_provider_would_make_up_is_unknown() -> None:
    found = schemas.outputs("kubernetes:core/v1:ConfigMap", {"metadata": {"labels": {"a": "b"}}, "data": {"k": "v"}}, {})
    assert (found["metadata"]["name"], found["metadata"]["labels"], found["data"]) == (UNKNOWN, {"a": "b"}, {"k": "v"})


@pytest.mark.parametrize(("package", "modules"), [("aws", ["eks", "s3", "ec2", "iam"]), ("gcp", ["container", "storage"])])
def test_the_arguments_of_every_class_of_a_module_can_be_told(package: str, modules: list[str]) -> None:
    checked = 0
    for registered in list(rpc._RESOURCE_MODULES):
        name, _, module = registered.partition(":")
        if name == package and module.split("/")[0] in modules:
            for token in rpc._RESOURCE_MODULES[registered][0].mod_info["classes"]:  # type: ignore[attr-defined]
                resource = sdk.resource_class(token)
                assert resource and sdk.arguments_class(resource), token
                assert "noSuchArgument" in told(token, {"noSuchArgument": 1})
                assert schemas.outputs(token, {}, {})
                checked += 1
    assert checked > 30


def test_a_value_that_is_an_enum_is_its_value() -> None:
    import pulumi_aws as aws

    assert told("aws:s3/bucket:Bucket", {"acl": aws.s3.CannedAcl.PRIVATE}) == {}


@pytest.mark.parametrize(("package", "modules"), [("aws", ["eks", "ecr", "kms"]), ("gcp", ["container", "storage"])])
def test_nothing_of_the_examples_in_the_sdk_s_own_documentation_is_refused(
    package: str, modules: list[str], tmp_path: Path
) -> None:
    script = Path(__file__).with_name("documented_examples.py")
    command = [sys.executable, str(script), package, *modules]
    environment = {**os.environ, "PYTHONPATH": str(script.parents[2])}
    told = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    ).stdout.splitlines()
    assert int(told[0]) > 30
    assert told[1:] == []
