"""What AWS and pulumi-aws add to what they are given."""

from typing import Any

ACCOUNT, REGION = "123456789012", "eu-central-1"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}


def _arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def computed(kind: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    identifier = f"{kind.rpartition(':')[2].lower()}-{name}"
    found: dict[str, Any] = {"id": identifier, "arn": _arn(kind.split(":")[1].split("/")[0], identifier)}
    match kind:
        case "aws:iam/role:Role":
            found |= {"id": inputs["name"], "arn": f"arn:aws:iam::{ACCOUNT}:role/{inputs['name']}"}
        case "aws:kms/key:Key":
            found["keyId"] = identifier
        case "aws:ec2/launchTemplate:LaunchTemplate":
            found["latestVersion"] = 1
        case "aws:s3/bucket:Bucket":
            found |= {"id": inputs["bucket"], "arn": f"arn:aws:s3:::{inputs['bucket']}"}
        case "aws:ecr/repository:Repository":
            found["repositoryUrl"] = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{inputs['name']}"
        case "aws:rds/instance:Instance":
            found["endpoint"] = f"{inputs['identifier']}.abc.{REGION}.rds.amazonaws.com:5432"
        case "aws:rds/parameterGroup:ParameterGroup":
            found["name"] = f"{inputs['namePrefix']}0001"
        case "aws:eks/nodeGroup:NodeGroup":
            found["resources"] = [{"autoscalingGroups": [{"name": f"eks-{name}-0001"}]}]
        case "aws:eks/cluster:Cluster":
            found |= {"endpoint": "https://eks.example", "certificateAuthority": {"data": "Q0E="}}
            found["vpcConfig"] = {**inputs["vpcConfig"], "clusterSecurityGroupId": "sg-cluster"}
    return found


def replaces(kind: str) -> tuple[str, ...]:
    return {
        "aws:ec2/vpc:Vpc": ("cidrBlock",),
        "aws:ec2/subnet:Subnet": ("cidrBlock", "availabilityZone"),
        "aws:ec2/natGateway:NatGateway": ("subnetId", "allocationId"),
        "aws:eks/cluster:Cluster": ("name", "roleArn", "encryptionConfig", "bootstrapSelfManagedAddons"),
        "aws:eks/nodeGroup:NodeGroup": (
            "clusterName",
            "nodeGroupNamePrefix",
            "amiType",
            "instanceTypes",
            "capacityType",
            "subnetIds",
            "nodeRoleArn",
        ),
        "aws:autoscaling/tag:Tag": ("autoscalingGroupName", "tag.key"),
        "aws:rds/parameterGroup:ParameterGroup": ("family", "namePrefix"),
        "aws:rds/instance:Instance": ("identifier", "dbName", "username", "kmsKeyId", "storageEncrypted"),
        "aws:s3/bucket:Bucket": ("bucket",),
        "aws:iam/role:Role": ("name",),
        "aws:iam/rolePolicy:RolePolicy": ("name", "role"),
        "aws:cloudwatch/logGroup:LogGroup": ("name",),
    }.get(kind, ())
