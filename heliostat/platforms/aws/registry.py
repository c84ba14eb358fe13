"""The registry of images. A tag names the same image for ever."""

from __future__ import annotations

import json

import pulumi
from pulumi_aws import ecr

from heliostat.platforms.aws.scope import Scope

UNTAGGED_DAYS = 30


class Registry(pulumi.ComponentResource):
    """A repository of ECR for this platform's images."""

    def __init__(self, name: str, scope: Scope, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("heliostat:aws:Registry", name, {}, opts)
        self.repository = ecr.Repository(
            "images",
            name=scope.names.base,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration=ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            # With AWS's own key of ECR: images are no data of anybody's, and what pulls them needs no right to a key.
            encryption_configurations=[ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS")],
            force_delete=not scope.keeps,
            tags=scope.tagged(),
            opts=scope.kept(self),
        )
        untagged = {
            "rulePriority": 1,
            "description": "what no tag names any more",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": UNTAGGED_DAYS,
            },
            "action": {"type": "expire"},
        }
        ecr.LifecyclePolicy(
            "images", repository=self.repository.name, policy=json.dumps({"rules": [untagged]}), opts=scope.kept(self)
        )
        self.url: pulumi.Output[str] = self.repository.repository_url
        self.register_outputs({"url": self.url})
