"""What things are called on AWS, and with that their ARNs, before anything is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_LONGEST: Final = 48
"""Of the base: a role's name, of at most 64 characters, has up to 16 more."""
_FORM: Final = re.compile(r"[a-z](?:-?[a-z0-9])*")
"""What a database's identifier takes is what all take."""


@dataclass(frozen=True)
class Names:
    """The names of one platform. What has to be one of its kind in an account begins with its base."""

    base: str
    """What the config says, or the project's and the stack's name."""
    region: str
    account: str

    @classmethod
    def of(cls, base: str, region: str, account: str) -> Names:
        """Name what belongs to a platform.

        Raises:
            ValueError: AWS would not take a name; the text has all reasons.
        """
        if wrong := list(_mistakes(base)):
            raise ValueError(
                f"{base} cannot begin the names of AWS's resources: {'; '.join(wrong)}: say `name` in the platform"
            )
        return cls(base, region, account)

    @property
    def partition(self) -> str:
        """The part of AWS that the region is in."""
        parts = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
        return next((each for start, each in parts.items() if self.region.startswith(f"{start}-")), "aws")

    @property
    def cluster(self) -> str:
        """The EKS cluster's name."""
        return self.base

    @property
    def cluster_log_group(self) -> str:
        """Where EKS writes its control plane's logs; the name is EKS's."""
        return f"/aws/eks/{self.cluster}/cluster"

    @property
    def database_log_groups(self) -> dict[str, str]:
        """Where RDS writes each of the database's logs; the names are RDS's."""
        return {log: f"/aws/rds/instance/{self.base}/{log}" for log in ("postgresql", "upgrade")}

    @property
    def flow_log_group(self) -> str:
        """Where the connections are noted that the network refused."""
        return f"/{self.base}/network"

    @property
    def log_groups(self) -> tuple[str, ...]:
        """All of these."""
        return (self.cluster_log_group, *self.database_log_groups.values(), self.flow_log_group)

    def role(self, purpose: str) -> str:
        """The name of the role for a purpose."""
        return f"{self.base}-{purpose}"

    def arn(self, service: str, resource: str) -> str:
        """The ARN of something of the region and the account."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def managed_policy(self, name: str) -> str:
        """The ARN of a policy that AWS maintains."""
        return f"arn:{self.partition}:iam::aws:policy/{name}"

    def bucket_arn(self, bucket: str) -> str:
        """A bucket's ARN, which says neither region nor account."""
        return f"arn:{self.partition}:s3:::{bucket}"

    @property
    def cluster_arn(self) -> str:
        """The EKS cluster's ARN."""
        return self.arn("eks", f"cluster/{self.cluster}")


def _mistakes(base: str) -> Iterator[str]:
    if len(base) > _LONGEST:
        yield f"it has {len(base)} characters, and {_LONGEST} are the limit"
    if not _FORM.fullmatch(base):
        yield "small letters, digits and single hyphens are allowed, and a letter first"
