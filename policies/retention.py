"""Data outlives mistakes: what holds it is protected, kept and backed up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .exposure import BUCKETS, without_companion
from .model import UNKNOWN, Resource, Settings, get, is_off, number

_RDS = ("aws:rds/instance:Instance", "aws:rds/cluster:Cluster")
_CLOUD_SQL = "gcp:sql/databaseInstance:DatabaseInstance"
_GCS = "gcp:storage/bucket:Bucket"
_VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
_KEYS = ("aws:kms/key:Key", "gcp:kms/cryptoKey:CryptoKey")
DATA = (*_RDS, _CLOUD_SQL, _GCS, *BUCKETS, *_KEYS)
"""Types that hold data, or without which data cannot be read."""


def protected(resource: Resource, _: Settings) -> Iterator[str]:
    """What holds data cannot be deleted by an update."""
    if resource.type in DATA and not resource.protect:
        yield "the option protect is off: declare it with ResourceOptions(protect=True)"
    if resource.type in (*BUCKETS, _GCS) and resource.props.get("forceDestroy") is True:
        yield "forceDestroy is true, so that a deletion takes all objects with it: leave it out"


def backed_up(resource: Resource, settings: Settings) -> Iterator[str]:
    """Databases are backed up, and refuse to be deleted themselves."""
    props, days = resource.props, number(settings.get("days"), 7)
    if resource.type in _RDS:
        kept = props.get("backupRetentionPeriod")
        if kept is not UNKNOWN and number(kept) < days:
            yield f"backupRetentionPeriod is {number(kept):g} days, at least {days:g} are needed"
        if is_off(props.get("deletionProtection")):
            yield "deletionProtection is off: set it to true"
        if props.get("skipFinalSnapshot") is True:
            yield "skipFinalSnapshot is true: leave it out, and give finalSnapshotIdentifier"
    if resource.type == _CLOUD_SQL:
        if is_off(get(props, "settings", "backupConfiguration", "enabled")):
            yield "settings.backupConfiguration.enabled is off: set it to true"
        if props.get("deletionProtection") is False:
            yield "deletionProtection is false: leave it out, or set it to true"
        if is_off(get(props, "settings", "deletionProtectionEnabled")):
            yield "settings.deletionProtectionEnabled is off, so that the console can delete it: set it to true"


def buckets_versioned(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[str, str]]:
    """An object that is overwritten or deleted can be brought back."""
    yield from without_companion(
        resources, _VERSIONING, "has no BucketVersioning: declare one for it with versioningConfiguration.status Enabled"
    )
    for one in resources:
        status = get(one.props, "versioningConfiguration", "status")
        if one.type == _VERSIONING and status not in ("Enabled", UNKNOWN):
            yield one.urn, f"versioningConfiguration.status is {status}: set it to Enabled"
        if one.type == _GCS and is_off(get(one.props, "versioning", "enabled")):
            yield one.urn, "versioning.enabled is off: set it to true"
