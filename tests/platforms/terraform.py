"""A Pulumi program's resources of AWS as a configuration of Terraform's: Pulumi's provider is made of Terraform's own.

A resource's outputs are Terraform's references, `${aws_vpc.network.id}`, so that what a program makes of them, however deep in
a text, is what Terraform makes of them. Dependencies that no output carries are not seen.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any, Final

import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks
from pydantic.alias_generators import to_snake

from heliostat.platforms.aws.names import Names
from heliostat.spec.machines import pool_of
from heliostat.spec.platforms.aws import AwsPlatform

_SHORT: Final = {"ec2", "vpc", "rds", "cloudwatch"}
"""Modules whose name Terraform's types do not have, or have otherwise."""
_TYPES: Final = {
    "aws:rds/instance:Instance": "aws_db_instance",
    "aws:rds/subnetGroup:SubnetGroup": "aws_db_subnet_group",
    "aws:rds/parameterGroup:ParameterGroup": "aws_db_parameter_group",
    "aws:cloudwatch/logGroup:LogGroup": "aws_cloudwatch_log_group",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "aws_vpc_security_group_ingress_rule",
}
_SINGULAR: Final = {
    ("aws_db_parameter_group", "parameters"): "parameter",
    ("aws_ecr_repository", "encryption_configurations"): "encryption_configuration",
    ("aws_eks_node_group", "taints"): "taint",
    ("aws_s3_bucket_lifecycle_configuration", "rules"): "rule",
    ("aws_s3_bucket_server_side_encryption_configuration", "rules"): "rule",
}
"""Lists of blocks, which Pulumi calls by their plural."""
_SECRET: Final = "4dabf18193072939515e22adb298388d"
"""The key that makes a map a secret."""
_MAPS: Final = ("tags", "labels")
"""Whose keys are nobody's to rename."""


Resources = dict[str, dict[str, dict[str, Any]]]
"""Arguments by label, by Terraform's type."""


def type_of(token: str) -> str:
    """Terraform's name of a type."""
    if token in _TYPES:
        return _TYPES[token]
    module, name = token.split(":")[1].split("/")[0], to_snake(token.rpartition(":")[2])
    return f"aws_{name}" if module in _SHORT else f"aws_{module}_{name}"


def label_of(name: str) -> str:
    """Terraform's name of a resource."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def arguments(kind: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs as Terraform calls them."""
    return {_SINGULAR.get((kind, to_snake(key)), to_snake(key)): _value(key, each) for key, each in inputs.items()}


def _value(key: str, value: Any) -> Any:
    if isinstance(value, dict) and _SECRET in value:
        return _value(key, value["value"])
    if isinstance(value, dict):
        return value if key in _MAPS else {to_snake(each): _value(each, it) for each, it in value.items()}
    return [_value(key, each) for each in value] if isinstance(value, list) else value


def of_platform(config: dict[str, Any]) -> Resources:
    """What the platform `aws` of a config has outside of the cluster."""
    from heliostat.platforms.aws.underlay import AwsUnderlay

    spec = AwsPlatform.model_validate(config)

    def program() -> None:
        pools = {name: pool_of("aws", group, spec.region, spec.network.zones) for name, group in spec.groups.items()}
        names = Names.of("heliostat-dev", spec.region, spec.account)
        AwsUnderlay("underlay", spec, names, pools, pulumi.Output.from_input("s" * 64))

    return translated(program)


class _Translator(Mocks):
    """An engine that makes nothing, and answers with references."""

    def __init__(self) -> None:
        self.resources: Resources = {}

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if not args.typ.startswith("aws:"):
            return f"{args.name}-id", dict(args.inputs)
        kind, label = type_of(args.typ), label_of(args.name)
        self.resources.setdefault(kind, {})[label] = arguments(kind, dict(args.inputs))
        return _reference(kind, label, "id"), {**args.inputs, **_outputs(kind, label, dict(args.inputs))}

    def call(self, args: MockCallArgs) -> dict[str, Any]:
        return {}


def _reference(kind: str, label: str, path: str) -> str:
    return f"${{{kind}.{label}.{path}}}"


def _outputs(kind: str, label: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """What the program reads of a resource. Names go by reference too, as Terraform orders by nothing else."""
    own = {
        "aws_eks_cluster": ("endpoint",),
        "aws_kms_key": ("key_id",),
        "aws_db_instance": ("endpoint",),
        "aws_ecr_repository": ("repository_url",),
    }.get(kind, ())
    paths = ("arn", "name", "bucket", *own)
    found: dict[str, Any] = {re.sub(r"_(\w)", lambda m: m[1].upper(), path): _reference(kind, label, path) for path in paths}
    match kind:
        case "aws_launch_template":
            found["latestVersion"] = _reference(kind, label, "latest_version")
        case "aws_eks_node_group":
            path = "resources[0].autoscaling_groups[0].name"
            found["resources"] = [{"autoscalingGroups": [{"name": _reference(kind, label, path)}]}]
        case "aws_eks_cluster":
            found["certificateAuthority"] = {"data": _reference(kind, label, "certificate_authority[0].data")}
            group = _reference(kind, label, "vpc_config[0].cluster_security_group_id")
            found["vpcConfig"] = {**inputs["vpcConfig"], "clusterSecurityGroupId": group}
    return found


def translated(program: Callable[[], None]) -> Resources:
    """The resources of AWS that a program declares."""
    translator = _Translator()
    asyncio.set_event_loop(asyncio.new_event_loop())
    pulumi.runtime.set_mocks(translator, project="heliostat", stack="dev", preview=False)
    pulumi.runtime.test(program)()
    # Through JSON, as what is not text, number, list or map has no place in a configuration.
    return dict(json.loads(json.dumps(translator.resources)))
