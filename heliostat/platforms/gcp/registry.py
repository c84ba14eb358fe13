"""The registry of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pulumi
from pulumi_gcp import artifactregistry

from heliostat.platforms.gcp.identity import Key

_UNTAGGED_SECONDS: Final = 90 * 24 * 3600
_KEPT: Final = 20


class Registry(pulumi.ComponentResource):
    """A Docker repository whose tags never move. It goes with the platform: images can be built again."""

    def __init__(
        self, name: str, prefix: str, region: str, key: Key, readers: Sequence[pulumi.Input[str]], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("heliostat:gcp:Registry", name, {}, opts)
        repository = artifactregistry.Repository(
            f"{prefix}-images",
            repository_id=f"{prefix}-images",
            location=region,
            format="DOCKER",
            description=f"Images of {prefix}",
            kms_key_name=key.id,
            docker_config=artifactregistry.RepositoryDockerConfigArgs(immutable_tags=True),
            vulnerability_scanning_config=artifactregistry.RepositoryVulnerabilityScanningConfigArgs(
                enablement_config="INHERITED"
            ),
            cleanup_policy_dry_run=False,
            cleanup_policies=_cleanup(),
            opts=pulumi.ResourceOptions(parent=self, depends_on=key.grants),
        )
        for number, reader in enumerate(readers):
            artifactregistry.RepositoryIamMember(
                f"{prefix}-images-reader-{number}",
                repository=repository.name,
                location=region,
                role="roles/artifactregistry.reader",
                member=reader,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.uri: pulumi.Output[str] = repository.registry_uri
        self.register_outputs({"uri": self.uri})


def _cleanup() -> list[artifactregistry.RepositoryCleanupPolicyArgs]:
    """Images without a tag go after three months, but never the newest twenty of each name."""
    return [
        artifactregistry.RepositoryCleanupPolicyArgs(
            id="untagged",
            action="DELETE",
            condition=artifactregistry.RepositoryCleanupPolicyConditionArgs(
                tag_state="UNTAGGED", older_than=f"{_UNTAGGED_SECONDS}s"
            ),
        ),
        artifactregistry.RepositoryCleanupPolicyArgs(
            id="newest",
            action="KEEP",
            most_recent_versions=artifactregistry.RepositoryCleanupPolicyMostRecentVersionsArgs(keep_count=_KEPT),
        ),
    ]
