"""What moto's server knows no call for, or takes any value in, held against AWS's own description of the call.

That has names, what is required, limits and legal values; only AWS knows whether they go together.
"""

from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest

from tests.platforms import golden

PLAN = golden.load("aws")
ARN = "arn:aws:iam::123456789012:role/known-after-up"
UNKNOWN = "(known after up)"
Call = Callable[[dict[str, Any]], dict[str, Any]]


def _same(*names: str) -> Call:
    return lambda inputs: {name: inputs[name] for name in names if name in inputs}


def _addon(inputs: dict[str, Any]) -> dict[str, Any]:
    kept = _same("addonName", "clusterName", "configurationValues", "podIdentityAssociations", "tags")(inputs)
    return kept | {"resolveConflicts": inputs["resolveConflictsOnCreate"]}


def _node_group(inputs: dict[str, Any]) -> dict[str, Any]:
    kept = _same(
        "clusterName", "amiType", "instanceTypes", "capacityType", "scalingConfig", "labels", "taints", "launchTemplate"
    )
    more = _same("updateConfig", "nodeRepairConfig", "tags", "version")
    return (
        kept(inputs)
        | more(inputs)
        | {
            "nodegroupName": inputs["nodeGroupNamePrefix"] + "0" * 26,
            "subnets": inputs["subnetIds"],
            "nodeRole": inputs["nodeRoleArn"],
        }
    )


def _scaling_tag(inputs: dict[str, Any]) -> dict[str, Any]:
    tag = inputs["tag"]
    told = {"Key": tag["key"], "Value": tag["value"], "PropagateAtLaunch": tag["propagateAtLaunch"]}
    return {"Tags": [told | {"ResourceId": inputs["autoscalingGroupName"], "ResourceType": "auto-scaling-group"}]}


def _budget(inputs: dict[str, Any]) -> dict[str, Any]:
    budget = {
        "BudgetName": inputs["name"],
        "BudgetType": inputs["budgetType"],
        "TimeUnit": inputs["timeUnit"],
        "BudgetLimit": {"Amount": inputs["limitAmount"], "Unit": inputs["limitUnit"]},
        "CostFilters": {each["name"]: each["values"] for each in inputs["costFilters"]},
    }
    told = [
        {
            "Notification": {
                "NotificationType": each["notificationType"],
                "ComparisonOperator": each["comparisonOperator"],
                "Threshold": each["threshold"],
                "ThresholdType": each["thresholdType"],
            },
            "Subscribers": [{"SubscriptionType": "EMAIL", "Address": it} for it in each["subscriberEmailAddresses"]],
        }
        for each in inputs["notifications"]
    ]
    return {"AccountId": inputs["accountId"], "Budget": budget, "NotificationsWithSubscribers": told}


def _parameters(inputs: dict[str, Any]) -> dict[str, Any]:
    names = {"name": "ParameterName", "value": "ParameterValue", "applyMethod": "ApplyMethod"}
    told = [{names[key]: each for key, each in parameter.items()} for parameter in inputs["parameters"]]
    return {"DBParameterGroupName": inputs["namePrefix"] + "0" * 26, "Parameters": told}


def _cluster(inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        **_same("name", "version", "roleArn", "accessConfig", "bootstrapSelfManagedAddons", "tags")(inputs),
        "resourcesVpcConfig": inputs["vpcConfig"],
        "encryptionConfig": [inputs["encryptionConfig"]],
        "logging": {"clusterLogging": [{"types": inputs["enabledClusterLogTypes"], "enabled": True}]},
    }


def _template(inputs: dict[str, Any]) -> dict[str, Any]:
    disks = [{"DeviceName": it["deviceName"], "Ebs": _pascal(it["ebs"])} for it in inputs["blockDeviceMappings"]]
    tags = [{"ResourceType": it["resourceType"], "Tags": _tags(it["tags"])} for it in inputs["tagSpecifications"]]
    data = {"BlockDeviceMappings": disks, "MetadataOptions": _pascal(inputs["metadataOptions"]), "TagSpecifications": tags}
    return {"LaunchTemplateName": inputs["name"], "LaunchTemplateData": data}


def _pascal(values: dict[str, Any]) -> dict[str, Any]:
    return {key[0].upper() + key[1:]: {"true": True, "false": False}.get(each, each) for key, each in values.items()}


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


CALLS: dict[str, tuple[str, str, Call]] = {
    "aws:eks/accessEntry:AccessEntry": ("eks", "CreateAccessEntry", _same("clusterName", "principalArn", "type", "tags")),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": (
        "eks",
        "AssociateAccessPolicy",
        _same("clusterName", "principalArn", "policyArn", "accessScope"),
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": (
        "eks",
        "CreatePodIdentityAssociation",
        _same("clusterName", "namespace", "serviceAccount", "roleArn", "tags"),
    ),
    "aws:eks/addon:Addon": ("eks", "CreateAddon", _addon),
    "aws:eks/nodeGroup:NodeGroup": ("eks", "CreateNodegroup", _node_group),
    "aws:eks/cluster:Cluster": ("eks", "CreateCluster", _cluster),
    "aws:ec2/launchTemplate:LaunchTemplate": ("ec2", "CreateLaunchTemplate", _template),
    "aws:rds/parameterGroup:ParameterGroup": ("rds", "ModifyDBParameterGroup", _parameters),
    "aws:autoscaling/tag:Tag": ("autoscaling", "CreateOrUpdateTags", _scaling_tag),
    "aws:budgets/budget:Budget": ("budgets", "CreateBudget", _budget),
}


def known(value: Any) -> Any:
    """A value with something in the place of what nobody knows."""
    if isinstance(value, dict):
        return {key: known(each) for key, each in value.items()}
    if isinstance(value, list):
        return [known(each) for each in value]
    return ARN if value == UNKNOWN else value


def not_among(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Values that are none of the legal ones, which botocore itself lets through."""
    if shape.type_name == "structure":
        for name, each in value.items():
            yield from not_among(shape.members[name], each, f"{path}.{name}")
    elif shape.type_name == "list":
        for each in value:
            yield from not_among(shape.member, each, path)
    elif shape.type_name == "string" and shape.enum and value not in shape.enum:
        yield f"{path}: {value} is none of {shape.enum}"


@pytest.mark.parametrize("kind", CALLS)
def test_aws_describes_the_call_that_makes_it_like_that(kind):
    service, operation, call = CALLS[kind]
    model = botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape
    made = [each for each in PLAN if each["type"] == kind]
    assert made
    for each in made:
        asked = known(call(each["inputs"]))
        report = botocore.validate.ParamValidator().validate(asked, model)
        assert not report.has_errors(), report.generate_report()
        assert list(not_among(model, asked, operation)) == []


def test_no_key_of_an_input_is_left_out_of_the_call_unseen():
    """What a call does not have is what Pulumi's provider needs for itself, by name."""
    own = {"nodeGroupNamePrefix", "resolveConflictsOnCreate", "resolveConflictsOnUpdate", "subnetIds", "nodeRoleArn", "name"}
    for each in PLAN:
        if each["type"] in CALLS and ":eks/" in each["type"] and not each["type"].endswith(":Cluster"):
            call = CALLS[each["type"]][2](each["inputs"])
            assert each["inputs"].keys() - call.keys() <= own, each["name"]
