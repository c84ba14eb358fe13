"""Nothing that holds data is open to everybody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .model import UNKNOWN, Resource, Settings, document, each, get, is_off, listed

BUCKETS = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
ACCESS_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
_ACLS = ("aws:s3/bucketAcl:BucketAcl", "aws:s3/bucketAclV2:BucketAclV2")
_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_DATABASES = ("aws:rds/instance:Instance", "aws:rds/clusterInstance:ClusterInstance")
_EVERYBODY = ("allUsers", "allAuthenticatedUsers")
_GCS_ACCESS = ("storage/bucketAccessControl:", "storage/defaultObjectAccessControl:", "storage/objectAccessControl:")


def no_public_bucket(resource: Resource, _: Settings) -> Iterator[str]:
    """No bucket can be read or written by everybody."""
    props = resource.props
    if resource.type in (*BUCKETS, *_ACLS) and str(props.get("acl", "")).startswith(("public-", "authenticated-read")):
        yield f"acl is {props['acl']}: take private, and give access by roles"
    if resource.type in (*BUCKETS, "aws:s3/bucketPolicy:BucketPolicy") and _lets_everybody(document(props.get("policy"))):
        yield 'policy allows Principal "*" without a Condition: name the roles that may'
    if resource.type == ACCESS_BLOCK and (off := [name for name in _BLOCKS if is_off(props.get(name))]):
        yield f"{listed(off)} {'is' if len(off) == 1 else 'are'} off: set all four to true"
    if resource.type == "gcp:storage/bucket:Bucket":
        yield from _open_in_google(props)
    if resource.type.startswith("gcp:"):
        yield from _granted_to_everybody(resource)


def _lets_everybody(policy: Any) -> bool:
    for statement in each(get(policy, "Statement")):
        principal = get(statement, "Principal")
        whom = [principal, *each(get(principal, "AWS"))]
        if get(statement, "Effect") == "Allow" and "*" in whom and get(statement, "Condition") is None:
            return True
    return False


def _open_in_google(props: Any) -> Iterator[str]:
    prevention = props.get("publicAccessPrevention")
    if prevention not in ("enforced", UNKNOWN):
        yield f"publicAccessPrevention is {prevention or 'not given'}: set it to enforced"
    if is_off(props.get("uniformBucketLevelAccess")):
        yield "uniformBucketLevelAccess is off, so that single objects can be made public: set it to true"


def _granted_to_everybody(resource: Resource) -> Iterator[str]:
    members = [*each(resource.props.get("member")), *each(resource.props.get("members"))]
    if any(kind in resource.type for kind in _GCS_ACCESS):
        members += each(resource.props.get("entity"))
    if found := [one for one in members if one in _EVERYBODY]:
        yield f"the role is granted to {listed(found)}: name the service accounts and groups that may"


def bucket_access_blocked(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[str, str]]:
    """Each bucket has a public access block."""
    yield from without_companion(
        resources, ACCESS_BLOCK, "has no BucketPublicAccessBlock: declare one for it with all four switches true"
    )


def without_companion(resources: Sequence[Resource], kind: str, said: str) -> Iterator[tuple[str, str]]:
    """The S3 buckets that no resource of a kind is for: by what its `bucket` comes from, or by the bucket's name."""
    companions = [one for one in resources if one.type == kind]
    known = {urn for one in companions for urn in one.needs.get("bucket", ())}
    names = {one.props.get("bucket") for one in companions if isinstance(one.props.get("bucket"), str)}
    for one in resources:
        own = {one.props.get("bucket"), one.props.get("id")}
        if one.type in BUCKETS and one.urn not in known and not {name for name in own if isinstance(name, str)} & names:
            yield one.urn, f"{one.name} {said}"


def no_public_database(resource: Resource, _: Settings) -> Iterator[str]:
    """No database has an address that everybody reaches."""
    if resource.type in _DATABASES and resource.props.get("publiclyAccessible") is True:
        yield "publiclyAccessible is true: set it to false, and reach the database from inside of the network"
    if resource.type == "gcp:sql/databaseInstance:DatabaseInstance":
        networks = each(get(resource.props, "settings", "ipConfiguration", "authorizedNetworks"))
        if any(get(network, "value") in ("0.0.0.0/0", "::/0") for network in networks):
            yield "authorizedNetworks has 0.0.0.0/0: name the networks that may, or use a private address"
