"""The bucket: private, encrypted, versioned; what was written over goes after a while."""

from __future__ import annotations

import json

import pulumi
from pulumi_aws import s3

from heliostat.platforms.aws import policies
from heliostat.platforms.aws.scope import Scope
from heliostat.resources.base import Address

OLD_VERSIONS_DAYS = 30
"""How long an object that was written over, or deleted, can be had back."""
BROKEN_UPLOADS_DAYS = 7


class Store(pulumi.ComponentResource):
    """The bucket of data, models and the ledger."""

    def __init__(
        self, name: str, bucket: str, key_arn: pulumi.Input[str], scope: Scope, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("heliostat:aws:Store", name, {}, opts)
        self._scope = scope
        self.bucket = s3.Bucket(
            "objects", bucket=bucket, force_destroy=not scope.keeps, tags=scope.tagged(bucket), opts=scope.protected(self)
        )
        closed = self._close(bucket)
        self._encrypt(key_arn)
        self._expire(self._keep_versions())
        self.ready: tuple[pulumi.Resource, ...] = (self.bucket, closed)
        # By its id, which is its name once it is there: whoever reads the bucket in a preview has to know that it is not.
        uri = self.bucket.id.apply(lambda made: f"s3://{made}")
        self.address: pulumi.Output[Address] = pulumi.Output.all(uri=uri, region=scope.names.region)
        """The bucket's `StoreAddress`."""
        self.register_outputs({"uri": uri})

    def _close(self, bucket: str) -> s3.BucketPolicy:
        """Keep the public out, whatever anybody says of single objects."""
        block = s3.BucketPublicAccessBlock(
            "objects",
            bucket=self.bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._scope.kept(self),
        )
        s3.BucketOwnershipControls(
            "objects",
            bucket=self.bucket.bucket,
            rule=s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=self._scope.kept(self),
        )
        # AWS refuses two changes of a bucket's rights at a time.
        return s3.BucketPolicy(
            "objects",
            bucket=self.bucket.bucket,
            policy=json.dumps(policies.tls_only(self._scope.names.bucket_arn(bucket))),
            opts=self._scope.kept(self, depends_on=[block]),
        )

    def _encrypt(self, key_arn: pulumi.Input[str]) -> None:
        by_default = s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="aws:kms", kms_master_key_id=key_arn
        )
        rule = s3.BucketServerSideEncryptionConfigurationRuleArgs(
            apply_server_side_encryption_by_default=by_default,
            # One call of KMS for many objects: without it each object costs one.
            bucket_key_enabled=True,
        )
        s3.BucketServerSideEncryptionConfiguration(
            "objects", bucket=self.bucket.bucket, rules=[rule], opts=self._scope.kept(self)
        )

    def _keep_versions(self) -> s3.BucketVersioning:
        return s3.BucketVersioning(
            "objects",
            bucket=self.bucket.bucket,
            versioning_configuration=s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=self._scope.kept(self),
        )

    def _expire(self, versions: pulumi.Resource) -> None:
        rule = s3.BucketLifecycleConfigurationRuleArgs(
            id="old-versions",
            status="Enabled",
            filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            noncurrent_version_expiration=s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                noncurrent_days=OLD_VERSIONS_DAYS
            ),
            abort_incomplete_multipart_upload=s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=BROKEN_UPLOADS_DAYS
            ),
            expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
        )
        s3.BucketLifecycleConfiguration(
            "objects", bucket=self.bucket.bucket, rules=[rule], opts=self._scope.kept(self, depends_on=[versions])
        )
