"""The bucket: data, models, logs and the ledger."""

from __future__ import annotations

from typing import Final

import pulumi
from pulumi_gcp import storage

from heliostat.platforms.gcp.identity import Key
from heliostat.resources.base import Address

_NONCURRENT_DAYS: Final = 30
"""How long what was overwritten or removed can be had back."""
_UNFINISHED_DAYS: Final = 7
"""How long the parts of an upload lie that nobody finished."""
_DELETED_SECONDS: Final = 7 * 24 * 3600


class Store(pulumi.ComponentResource):
    """A private bucket, encrypted with a key of the project's, whose objects have versions."""

    def __init__(self, name: str, bucket: str, region: str, key: Key, keep: bool, opts: pulumi.ResourceOptions) -> None:
        super().__init__("heliostat:gcp:Store", name, {}, opts)
        self.bucket = storage.Bucket(
            bucket,
            name=bucket,
            location=region.upper(),
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning=storage.BucketVersioningArgs(enabled=True),
            encryption=storage.BucketEncryptionArgs(default_kms_key_name=key.id),
            soft_delete_policy=storage.BucketSoftDeletePolicyArgs(retention_duration_seconds=_DELETED_SECONDS),
            lifecycle_rules=[
                _rule("Delete", storage.BucketLifecycleRuleConditionArgs(days_since_noncurrent_time=_NONCURRENT_DAYS)),
                _rule("AbortIncompleteMultipartUpload", storage.BucketLifecycleRuleConditionArgs(age=_UNFINISHED_DAYS)),
            ],
            force_destroy=not keep,
            opts=pulumi.ResourceOptions(parent=self, depends_on=key.grants, protect=keep, retain_on_delete=keep),
        )
        # By what the bucket says once it is there: whoever reads it in a preview has to know that it is not.
        self.address: pulumi.Output[Address] = pulumi.Output.all(uri=self.bucket.url)
        """Its `StoreAddress`."""
        self.register_outputs({"bucket": self.bucket.name})


def _rule(action: str, condition: storage.BucketLifecycleRuleConditionArgs) -> storage.BucketLifecycleRuleArgs:
    return storage.BucketLifecycleRuleArgs(action=storage.BucketLifecycleRuleActionArgs(type=action), condition=condition)
