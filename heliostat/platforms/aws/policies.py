"""Who may do what: the documents of IAM and KMS, made of names alone where that is possible, so that a preview shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from heliostat.platforms.aws.names import Names
from heliostat.spec.ledger import TOP as LEDGER

Statement = Mapping[str, Any]
USE_KEY = (
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:DescribeKey",
)
"""What it takes to encrypt with a key and to decrypt."""


def document(*statements: Statement) -> dict[str, Any]:
    """A policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions: Sequence[str], resources: Sequence[Any], condition: Mapping[str, Any] | None = None) -> Statement:
    """A statement that allows some actions on some resources."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return {**statement, "Condition": condition} if condition else statement


def trust(
    service: str, condition: Mapping[str, Any] | None = None, actions: Sequence[str] = ("sts:AssumeRole",)
) -> dict[str, Any]:
    """Let a service of AWS act as a role."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": list(actions)}
    return document({**statement, "Condition": condition} if condition else statement)


def pods_trust(names: Names) -> dict[str, Any]:
    """Let pods of this cluster act as a role, those that an association names, and of no other cluster."""
    condition = {
        "StringEquals": {"aws:SourceAccount": names.account},
        "ArnEquals": {"aws:SourceArn": names.cluster_arn},
    }
    return trust("pods.eks.amazonaws.com", condition, ("sts:AssumeRole", "sts:TagSession"))


def objects(bucket_arn: str) -> dict[str, Any]:
    """Read, write and list a bucket's objects. The ledger, and versions that were written over, are nobody's to remove."""
    on_bucket = ("s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads")
    on_objects = (
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts",
    )
    ledger = {"Effect": "Deny", "Action": ["s3:DeleteObject"], "Resource": [f"{bucket_arn}/{LEDGER}*"]}
    return document(allow(on_bucket, [bucket_arn]), allow(on_objects, [f"{bucket_arn}/*"]), ledger)


def tls_only(bucket_arn: str) -> dict[str, Any]:
    """Refuse whoever comes to a bucket without TLS."""
    return document(
        {
            "Sid": "OnlyWithTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket_arn, f"{bucket_arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )


def objects_key(key_arn: Any) -> dict[str, Any]:
    """Read and write what is encrypted with a key."""
    return document(allow(("kms:Decrypt", "kms:GenerateDataKey"), [key_arn]))


def volumes_key(key_arn: Any) -> dict[str, Any]:
    """Make and attach volumes that are encrypted with a key."""
    granted = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    grants = ("kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant")
    return document(allow(grants, [key_arn], granted), allow(USE_KEY, [key_arn]))


def autoscaler(names: Names) -> dict[str, Any]:
    """Look at scaling groups, and set the size of this cluster's own."""
    # These know no resources.
    describe = (
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeAutoScalingInstances",
        "autoscaling:DescribeLaunchConfigurations",
        "autoscaling:DescribeScalingActivities",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:GetInstanceTypesFromInstanceRequirements",
    )
    own = {"StringEquals": {f"aws:ResourceTag/k8s.io/cluster-autoscaler/{names.cluster}": "owned"}}
    groups = names.arn("autoscaling", "autoScalingGroup:*:autoScalingGroupName/eks-*")
    return document(
        allow(describe, ["*"]),
        allow(("eks:DescribeNodegroup",), [names.arn("eks", f"nodegroup/{names.cluster}/*")]),
        allow(("autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"), [groups], own),
    )


def flow_log(names: Names) -> dict[str, Any]:
    """Write the network's log."""
    group = names.arn("logs", f"log-group:{names.flow_log_group}")
    actions = ("logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogGroups", "logs:DescribeLogStreams")
    return document(allow(actions, [group, f"{group}:*"]))


def key(names: Names) -> dict[str, Any]:
    """A key that the account's own policies give out. Without that nobody could ever change it again."""
    root = f"arn:{names.partition}:iam::{names.account}:root"
    return document(
        {"Sid": "Account", "Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"},
    )


def cluster_key(names: Names) -> dict[str, Any]:
    """The same, with which CloudWatch encrypts this platform's logs, and no others."""
    groups = [names.arn("logs", f"log-group:{group}") for group in names.log_groups]
    logs = {
        "Sid": "Logs",
        "Effect": "Allow",
        "Principal": {"Service": f"logs.{names.region}.amazonaws.com"},
        "Action": list(USE_KEY),
        "Resource": "*",
        "Condition": {"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": groups}},
    }
    return document(*key(names)["Statement"], logs)
