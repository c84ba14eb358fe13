"""What is stored is encrypted, with keys of one's own where the config says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .exposure import without_companion
from .model import UNKNOWN, Resource, Settings, each, get, is_off, is_whole

_BUCKET_ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"


def _switch(*path: str) -> Callable[[Mapping[str, Any]], Iterator[str]]:
    def check(props: Mapping[str, Any]) -> Iterator[str]:
        if is_off(get(props, *path)):
            yield f"{'.'.join(path)} is off: set it to true (a change of it makes most databases and volumes anew)"

    return check


def _cluster(props: Mapping[str, Any]) -> Iterator[str]:
    resources = get(props.get("encryptionConfig"), "resources")
    if is_whole(resources) and "secrets" not in each(resources):
        yield 'encryptionConfig does not name secrets: give it resources ["secrets"] and the ARN of a KMS key'


def _registry(props: Mapping[str, Any]) -> Iterator[str]:
    configurations = props.get("encryptionConfigurations")
    kinds = {get(one, "encryptionType") for one in each(configurations)}
    if is_whole(configurations) and not {"KMS", "KMS_DSSE"} & kinds:
        yield "encryptionConfigurations names no key: give it encryptionType KMS"


def _template(props: Mapping[str, Any]) -> Iterator[str]:
    for mapping in each(props.get("blockDeviceMappings")):
        if get(mapping, "ebs") is not None and is_off(get(mapping, "ebs", "encrypted")):
            yield f"the volume {get(mapping, 'deviceName')} of the launch template is not encrypted: set ebs.encrypted to true"


def _bucket(props: Mapping[str, Any]) -> Iterator[str]:
    for rule in each(props.get("rules")):
        algorithm = get(rule, "applyServerSideEncryptionByDefault", "sseAlgorithm")
        if algorithm not in ("aws:kms", "aws:kms:dsse", UNKNOWN):
            yield f"sseAlgorithm is {algorithm}: take aws:kms with a key of your own"


def _kubernetes_secrets(props: Mapping[str, Any]) -> Iterator[str]:
    state = get(props, "databaseEncryption", "state")
    if state not in ("ENCRYPTED", UNKNOWN):
        yield f"databaseEncryption.state is {state or 'not given'}: set it to ENCRYPTED with keyName, for Kubernetes' secrets"


_ALWAYS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    _BUCKET_ENCRYPTION: _bucket,
    "aws:rds/instance:Instance": _switch("storageEncrypted"),
    "aws:rds/cluster:Cluster": _switch("storageEncrypted"),
    "aws:eks/cluster:Cluster": _cluster,
    "aws:ecr/repository:Repository": _registry,
    "aws:ec2/launchTemplate:LaunchTemplate": _template,
    "aws:ebs/volume:Volume": _switch("encrypted"),
    "aws:efs/fileSystem:FileSystem": _switch("encrypted"),
    "aws:elasticache/replicationGroup:ReplicationGroup": _switch("atRestEncryptionEnabled"),
    "gcp:container/cluster:Cluster": _kubernetes_secrets,
}
_KEYS: Mapping[str, tuple[str, ...]] = {
    "gcp:storage/bucket:Bucket": ("encryption", "defaultKmsKeyName"),
    "gcp:sql/databaseInstance:DatabaseInstance": ("encryptionKeyName",),
    "gcp:artifactregistry/repository:Repository": ("kmsKeyName",),
    "gcp:compute/disk:Disk": ("diskEncryptionKey", "kmsKeySelfLink"),
    "gcp:container/nodePool:NodePool": ("nodeConfig", "bootDiskKmsKey"),
}
"""What Google encrypts anyway, by keys of its own: a key of one's own is asked for where the config says so."""


def encrypted(resource: Resource, settings: Settings) -> Iterator[str]:
    """Databases, disks, buckets, registries and Kubernetes' secrets are encrypted."""
    if check := _ALWAYS.get(resource.type):
        yield from check(resource.props)
    path = _KEYS.get(resource.type)
    if path and settings.get("customerKeys") and get(resource.props, *path) is None:
        yield f"{'.'.join(path)} is not given, so that Google's own key encrypts it: name a key of Cloud KMS"


def buckets_encrypted(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[str, str]]:
    """Each bucket says what it is encrypted with."""
    yield from without_companion(
        resources,
        _BUCKET_ENCRYPTION,
        "has no BucketServerSideEncryptionConfiguration: declare one for it with sseAlgorithm aws:kms",
    )
